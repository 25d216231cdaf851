"""InfoSAM: SAM where gradients have little noise."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import point
from steepest.core.options import PointedDirected
from steepest.optim.flatness.over_sgd import RHO, OverSGD
from steepest.optim.registry import method


@method("flatness", forwards=2, backwards=2, space=RHO | {"alpha": ("linear", 0.5, 0.99)})
class InfoSAM(OverSGD):
    """SAM that leans less where gradients are noisy, over SGD with momentum.

    Not reproduced: the paper's equation has not been seen; see :class:`steepest.point.InfoSAM`, also for the floor.

    Args:
        params: parameters or groups.
        lr: default 0.05 (authors' code).
        rho: radius, default 0.05 (authors' code).
        alpha: decay of the average that gradients are compared with, default 0.9.
        floor: added to the estimate of the variance, default 1e-12.
        momentum: default 0.9 (authors' code).
        weight_decay: coupled, default 0 (authors' code: 5e-4).
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 0.05, rho: float = 0.05, alpha: float = 0.9, floor: float = 1e-12,
                 momentum: float = 0.9, weight_decay: float = 0.0, **options: Unpack[PointedDirected]) -> None:  # fmt: skip
        where = point.InfoSAM(rho=rho, alpha=alpha, floor=floor)
        super().__init__(params, lr, where, momentum, weight_decay, **options)
