"""The stochastic Polyak step."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import stepsize
from steepest.core.optimizer import Optimizer
from steepest.core.options import Sized
from steepest.optim.registry import method


@method("stepsize", space={"c": ("log", 0.1, 1.0), "eta_max": ("log", 0.1, 100.0)})
class SPS(Optimizer):
    """SGD with the stochastic Polyak step.

    Args:
        params: parameters or groups.
        c: default 0.5 (paper, convex; 0.2 for deep nets).
        f_star: a lower bound of every mini-batch loss, default 0.
        eta_max: default 10.
        growth: largest factor between consecutive steps, default infinite.
        lr: multiplies the step, default 1.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, c: float = 0.5, f_star: float = 0.0, eta_max: float = 10.0,
                 growth: float = float("inf"), lr: float = 1.0, **options: Unpack[Sized]) -> None:  # fmt: skip
        step = stepsize.SPS(c=c, f_star=f_star, eta_max=eta_max, growth=growth)
        super().__init__(params, lr, step_size=step, **options)
