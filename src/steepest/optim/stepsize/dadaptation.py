"""D-Adaptation: an estimate of the distance to the solution that only grows."""

from __future__ import annotations

import math
from typing import Any, Literal, Unpack

from steepest import direction as D
from steepest import stepsize
from steepest.core.options import SizedDecayed, SizedDirected
from steepest.core.part import Per, check_number
from steepest.geometry import Decay
from steepest.optim.betas import Betas, named
from steepest.optim.guarded import Guarded
from steepest.optim.registry import method


@method("stepsize", space={"d0": ("log", 1e-8, 1e-3)})
class DAdaptAdam(Guarded):
    """Adam with D-Adaptation.

    Args:
        params: parameters or groups.
        lr: the schedule's multiplier, default 1 (paper).
        betas: default (0.9, 0.999).
        eps: default 1e-8.
        weight_decay: decoupled, default 0.
        d0: first estimate of the distance, default 1e-6 (paper).
        growth_rate: largest growth of the estimate in a step, default infinite (paper; authors: 1.02 if unstable).
        per: one estimate for "all" (paper), a "group" or each "tensor".
        options: see :class:`steepest.optim.guarded.Guarded`.
    """

    def __init__(self, params: Any, lr: float = 1.0, betas: Betas = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0.0, d0: float = 1e-6, per: Per = "all",
                 growth_rate: float = math.inf, **options: Unpack[SizedDecayed]) -> None:  # fmt: skip
        inner = D.Adam(**named(betas), eps=eps, bias_correction=False)
        super().__init__(params, lr, direction=inner, step_size=stepsize.DAdaptAdam(d0=d0, per=per, growth_rate=growth_rate),
                         geometry=Decay(weight_decay=weight_decay), **options)  # fmt: skip


@method("stepsize", space={"d0": ("log", 1e-8, 1e-3)})
class DAdaptSGD(Guarded):
    """Gradient descent with D-Adaptation; give it a falling schedule.

    Args:
        params: parameters or groups.
        lr: the schedule's multiplier, default 1 (paper).
        weight_decay: coupled, default 0.
        d0: first estimate of the distance, default 1e-6 (paper).
        growth_rate: largest growth of the estimate in a step, default infinite (paper; authors: 1.02 if unstable).
        momentum: β of an average of steps, default 0 (authors' code).
        per: one estimate for "all" (paper), a "group" or each "tensor".
        options: see :class:`steepest.optim.guarded.Guarded`.
    """

    def __init__(self, params: Any, lr: float = 1.0, weight_decay: float = 0.0, d0: float = 1e-6, per: Per = "all",
                 growth_rate: float = math.inf,
                 momentum: float = 0.0, **options: Unpack[SizedDirected]) -> None:  # fmt: skip
        inner: D.Direction = D.Coupled(D.Direction(), weight_decay=weight_decay)
        momentum = check_number("DAdaptSGD", "momentum", momentum, "[0, 1)")
        kind = stepsize.DAdaptMomentum if momentum else stepsize.DAdaptSGD
        if momentum:
            inner = D.WeightedMomentum(momentum=momentum, weight_decay=weight_decay)
        super().__init__(
            params, lr, direction=inner, step_size=kind(d0=d0, per=per, growth_rate=growth_rate), **options
        )


@method("stepsize", space={"d0": ("log", 1e-8, 1e-3)})
class DAdaptAdaGrad(Guarded):
    """AdaGrad by dual averaging with D-Adaptation.

    Args:
        params: parameters or groups.
        lr: the schedule's multiplier, default 1 (paper).
        weight_decay: coupled, default 0.
        initial_accumulator_value: what the sum of squares starts from, default 0 (paper: a bound of all squared gradients;
            authors' code: 1e-6).
        d0: first estimate of the distance, default 1e-6 (paper).
        growth_rate: largest growth of the estimate in a step, default infinite (paper; authors: 1.02 if unstable).
        bound: "inner", which trains, or "norms", the paper's Algorithm 2; see :class:`steepest.stepsize.DAdaptAdaGrad`.
        per: one estimate for "all" (paper), a "group" or each "tensor".
        options: see :class:`steepest.optim.guarded.Guarded`.

    Note: the authors advise to use Adam or SGD instead, whose estimates grow faster.
    """

    def __init__(self, params: Any, lr: float = 1.0, weight_decay: float = 0.0, initial_accumulator_value: float = 0.0,
                 d0: float = 1e-6, bound: Literal["inner", "norms"] = "inner", per: Per = "all",
                 growth_rate: float = math.inf, **options: Unpack[SizedDirected]) -> None:  # fmt: skip
        inner = D.DualAdaGrad(weight_decay=weight_decay, initial_accumulator_value=initial_accumulator_value)
        step = stepsize.DAdaptAdaGrad(d0=d0, bound=bound, per=per, growth_rate=growth_rate)
        super().__init__(params, lr, direction=inner, step_size=step, **options)  # fmt: skip


@method("stepsize", space={"d0": ("log", 1e-8, 1e-3)})
class DAdaptDual(Guarded):
    """Dual averaging with D-Adaptation: the method of the theorem.

    Args:
        params: parameters or groups.
        lr: the schedule's multiplier, default 1 (paper).
        weight_decay: coupled, default 0.
        d0: first estimate of the distance, default 1e-6 (paper).
        growth_rate: largest growth of the estimate in a step, default infinite (paper; authors: 1.02 if unstable).
        G0: a bound of all gradients' norms, default 0 (paper's Algorithm 1).
        bound: "inner", which trains, or "norms", the paper's Algorithm 1; see :class:`steepest.stepsize.DAdaptDual`.
        per: one estimate for "all" (paper), a "group" or each "tensor".
        options: see :class:`steepest.optim.guarded.Guarded`; the theorem is about an average of the points
            (``point=steepest.point.Average(gamma=0)``).
    """

    def __init__(self, params: Any, lr: float = 1.0, weight_decay: float = 0.0, d0: float = 1e-6, G0: float = 0.0,
                 bound: Literal["inner", "norms"] = "inner", per: Per = "all",
                 growth_rate: float = math.inf, **options: Unpack[SizedDirected]) -> None:  # fmt: skip
        step = stepsize.DAdaptDual(d0=d0, G0=G0, bound=bound, per=per, growth_rate=growth_rate)
        super().__init__(params, lr, direction=D.DualAveraging(weight_decay=weight_decay), step_size=step, **options)
