"""ASAM: a radius in units of each weight."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import point
from steepest.core.options import PointedDirected
from steepest.optim.flatness.over_sgd import RHO, OverSGD
from steepest.optim.registry import method


@method("flatness", forwards=2, backwards=2, space=RHO)
class ASAM(OverSGD):
    """Adaptive SAM over SGD with momentum: the radius is relative to each weight.

    Args:
        params: parameters or groups.
        lr: default 0.1 (authors' code).
        rho: radius relative to the weights, default 0.5 (authors' code).
        offset: added to the size of the weights, default 0.01 (authors' code's eta).
        momentum: default 0.9 (authors' code).
        weight_decay: coupled, default 0 (authors' code: 5e-4).
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 0.1, rho: float = 0.5, offset: float = 0.01, momentum: float = 0.9,
                 weight_decay: float = 0.0, **options: Unpack[PointedDirected]) -> None:  # fmt: skip
        super().__init__(params, lr, point.ASAM(rho=rho, offset=offset), momentum, weight_decay, **options)
