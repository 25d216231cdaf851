"""Stochastic line search."""

from __future__ import annotations

from typing import Any, Literal, Unpack

from steepest import stepsize
from steepest.core.optimizer import Optimizer
from steepest.core.options import Sized
from steepest.optim.registry import method


@method("stepsize", forwards=2, space={"c": ("log", 0.01, 0.5), "eta_max": ("log", 0.1, 100.0)})
class SLS(Optimizer):
    """SGD with the stochastic Armijo line search.

    Args:
        params: parameters or groups.
        c: default 0.1 (paper, deep nets).
        eta_max: default 1 (authors' code).
        batches_per_epoch: sets how fast the step may grow, default 500 (authors' code).
        growth: of the first trial within an epoch, default 2.
        shrink: default 0.9 (paper).
        reset: "grow", "keep" or "max".
        lr: multiplies the step, default 1.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(
        self,
        params: Any,
        c: float = 0.1,
        eta_max: float = 1.0,
        batches_per_epoch: int = 500,
        growth: float = 2.0,
        shrink: float = 0.9,
        reset: Literal["grow", "keep", "max"] = "grow",
        lr: float = 1.0,
        **options: Unpack[Sized],
    ) -> None:
        step = stepsize.SLS(c=c, eta_max=eta_max, batches_per_epoch=batches_per_epoch, growth=growth, shrink=shrink,
                            reset=reset)  # fmt: skip
        super().__init__(params, lr, step_size=step, **options)
