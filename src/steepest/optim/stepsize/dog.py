"""Distance over gradients: DoG, for each tensor alone (L-DoG), and tamed (T-DoG)."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import direction as D
from steepest import stepsize
from steepest.core.options import SizedDirected
from steepest.core.part import Per
from steepest.optim.guarded import Guarded
from steepest.optim.registry import method


@method("stepsize", space={"reps_rel": ("log", 1e-8, 1e-2)})
class DoG(Guarded):
    """SGD with distance over gradients as step size.

    Args:
        params: parameters or groups.
        reps_rel: size of the first step relative to 1 + |x0|, default 1e-6 (paper).
        G0: what the sum of squared gradients starts from, default 1e-8 (paper).
        weight_decay: coupled, default 0.
        per: one step size for "all" (paper), a "group" or each "tensor".
        lr: multiplies the step, default 1.
        options: see :class:`steepest.optim.guarded.Guarded`; with ``point=steepest.point.Average()`` it is what the paper
            evaluates.
    """

    def __init__(self, params: Any, reps_rel: float = 1e-6, G0: float = 1e-8, weight_decay: float = 0.0,
                 per: Per = "all", lr: float = 1.0, **options: Unpack[SizedDirected]) -> None:  # fmt: skip
        inner = D.Coupled(D.Direction(), weight_decay=weight_decay)
        step = stepsize.DoG(reps_rel=reps_rel, G0=G0, per=per)
        super().__init__(params, lr, direction=inner, step_size=step, **options)


@method("stepsize", space={"reps_rel": ("log", 1e-8, 1e-2)})
class LDoG(DoG):
    """SGD with distance over gradients as step size, tensor by tensor.

    Args:
        params: parameters or groups.
        reps_rel: size of a tensor's first step relative to 1 + |x0|, default 1e-6 (paper; 1e-8 for its T5).
        G0: what the sum of squared gradients starts from, default 1e-8 (paper).
        weight_decay: coupled, default 0.
        lr: multiplies the step, default 1.
        options: see :class:`steepest.optim.guarded.Guarded`; with ``point=steepest.point.Average()`` it is what the paper
            evaluates.
    """

    def __init__(self, params: Any, reps_rel: float = 1e-6, G0: float = 1e-8, weight_decay: float = 0.0,
                 lr: float = 1.0, **options: Unpack[SizedDirected]) -> None:  # fmt: skip
        super().__init__(params, reps_rel, G0, weight_decay, "tensor", lr, **options)


@method("stepsize", space={"reps_rel": ("log", 1e-8, 1e-2)})
class TDoG(Guarded):
    """SGD with tamed distance over gradients as step size: with high probability it stays near its start.

    Args:
        params: parameters or groups.
        reps_rel: size of the first r relative to 1 + |x0|, default 1e-6 (as DoG).
        delta: probability with which it may go astray, default 0.01.
        bound: a norm that no gradient exceeds; default 0: the largest one seen.
        steps: at least as many as the run has, default 10,000.
        weight_decay: coupled, default 0.
        per: one step size for "all" (paper), a "group" or each "tensor".
        lr: multiplies the step, default 1.
        options: see :class:`steepest.optim.guarded.Guarded`; theory is about an average of the points
            (``point=steepest.point.Average()``).
    """

    def __init__(self, params: Any, reps_rel: float = 1e-6, delta: float = 0.01, bound: float = 0.0,
                 steps: int = 10_000, weight_decay: float = 0.0, per: Per = "all", lr: float = 1.0,
                 **options: Unpack[SizedDirected]) -> None:  # fmt: skip
        inner = D.Coupled(D.Direction(), weight_decay=weight_decay)
        step = stepsize.TDoG(reps_rel=reps_rel, delta=delta, bound=bound, steps=steps, per=per)
        super().__init__(params, lr, direction=inner, step_size=step, **options)
