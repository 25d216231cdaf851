"""VaSSO: SAM along an average of gradients."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import point
from steepest.core.options import PointedDirected
from steepest.optim.flatness.over_sgd import RHO, OverSGD
from steepest.optim.registry import method


@method("flatness", forwards=2, backwards=2, space=RHO | {"theta": ("linear", 0.1, 1.0)})
class VaSSO(OverSGD):
    """Variance-suppressed SAM over SGD with momentum: it leans along an average of gradients.

    Args:
        params: parameters or groups.
        lr: default 0.05 (authors' code).
        rho: radius, default 0.05 (authors' code).
        theta: weight of the new gradient, default 0.9 (authors' code); 1 is SAM.
        momentum: default 0.9 (authors' code).
        weight_decay: coupled, default 0 (authors' code: 5e-4).
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 0.05, rho: float = 0.05, theta: float = 0.9, momentum: float = 0.9,
                 weight_decay: float = 0.0, **options: Unpack[PointedDirected]) -> None:  # fmt: skip
        super().__init__(params, lr, point.VaSSO(rho=rho, theta=theta), momentum, weight_decay, **options)
