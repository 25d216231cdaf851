"""PoNoS: a non-monotone line search from Polyak's step, plain and preconditioned."""

from __future__ import annotations

from typing import Any, Literal, Unpack

from steepest import direction as D
from steepest import stepsize
from steepest.core.optimizer import Optimizer
from steepest.core.options import Sized, SizedDirected
from steepest.optim.betas import Betas, named
from steepest.optim.guarded import Guarded
from steepest.optim.registry import method


@method("stepsize", forwards=2, space={"c": ("log", 0.1, 0.9), "eta_max": ("log", 0.1, 100.0)})
class PoNoS(Optimizer):
    """SGD with the Polyak nonmonotone stochastic line search.

    Args:
        params: parameters or groups.
        c: default 0.5 (paper).
        c_p: default 0.1 (paper).
        delta: default 0.5 (paper).
        eta_max: default 10 (paper).
        xi: default 1 (paper).
        f_star: default 0.
        stored: past of the reference, "mean" (authors' code) or "max" (the paper, as quoted by third parties).
        lr: multiplies the step, default 1.
        forget: backtracks forgotten a step, default 1 (paper); on the long run there are at most as many.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, c: float = 0.5, c_p: float = 0.1, delta: float = 0.5, eta_max: float = 10.0,
                 xi: float = 1.0, f_star: float = 0.0, stored: Literal["mean", "max"] = "mean", lr: float = 1.0,
                 forget: float = 1.0, **options: Unpack[Sized]) -> None:  # fmt: skip
        step = stepsize.PoNoS(c=c, c_p=c_p, delta=delta, eta_max=eta_max, xi=xi, f_star=f_star, forget=forget,
                              stored=stored)  # fmt: skip
        super().__init__(params, lr, step_size=step, **options)


@method("stepsize", forwards=2, space={"c": ("log", 0.01, 0.9), "eta_max": ("log", 0.1, 100.0)})
class PoNoSPrec(Guarded):
    """PoNoS along Adam's direction without momentum; slopes are ⟨g, d⟩.

    Args:
        params: parameters or groups.
        c: default 0.1 (authors' configuration of this variant).
        c_p: default 0.1 (authors' configuration).
        delta: default 0.5 (PoNoS; the configuration has 0.9 and no memory, at three times the trials).
        eta_max: default 10 (authors' configuration).
        betas: default (0, 0.999); with a momentum, steps whose direction points uphill are left out.
        eps: default 1e-8.
        xi: default 1.
        f_star: default 0.
        stored: past of the reference, "mean" or "max", see :class:`steepest.PoNoS`.
        lr: multiplies the step, default 1.
        options: see :class:`steepest.optim.guarded.Guarded`.

    Note: the authors' code of this variant cannot run.  By reading, it moves along Adam with momentum 0.9 but measures
    the slope as ‖g‖² in the norm of the preconditioner, which is not the slope of that move.
    """

    def __init__(
        self,
        params: Any,
        c: float = 0.1,
        c_p: float = 0.1,
        delta: float = 0.5,
        eta_max: float = 10.0,
        betas: Betas = (0.0, 0.999),
        eps: float = 1e-8,
        xi: float = 1.0,
        f_star: float = 0.0,
        stored: Literal["mean", "max"] = "mean",
        lr: float = 1.0,
        **options: Unpack[SizedDirected],
    ) -> None:
        step = stepsize.PoNoS(c=c, c_p=c_p, delta=delta, eta_max=eta_max, xi=xi, f_star=f_star, stored=stored)
        super().__init__(params, lr, direction=D.Adam(**named(betas), eps=eps), step_size=step, **options)
