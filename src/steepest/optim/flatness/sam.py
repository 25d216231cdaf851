"""SAM: the gradient at the edge of a ball."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import point
from steepest.core.options import PointedDirected
from steepest.optim.flatness.over_sgd import RHO, OverSGD
from steepest.optim.registry import method


@method("flatness", forwards=2, backwards=2, space=RHO)
class SAM(OverSGD):
    """Sharpness-aware minimization over SGD with momentum; for another direction pass point=SAM to Optimizer.

    Args:
        params: parameters or groups.
        lr: default 0.1 (paper's CIFAR runs).
        rho: radius, default 0.05 (paper).
        momentum: default 0.9.
        weight_decay: coupled, default 0.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 0.1, rho: float = 0.05, momentum: float = 0.9,
                 weight_decay: float = 0.0, **options: Unpack[PointedDirected]) -> None:  # fmt: skip
        super().__init__(params, lr, point.SAM(rho=rho), momentum, weight_decay, **options)
