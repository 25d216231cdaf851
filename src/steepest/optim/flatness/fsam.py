"""Fisher SAM: SAM in the weights where gradients are largest."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import point
from steepest.core.options import PointedDirected
from steepest.optim.flatness.over_sgd import RHO, OverSGD
from steepest.optim.registry import method


@method("flatness", forwards=2, backwards=2, space=RHO | {"sparsity": ("linear", 0.0, 0.95)})
class FSAM(OverSGD):
    """SAM with a Fisher mask over SGD with momentum: only the weights that matter are perturbed.

    Args:
        params: parameters or groups.
        lr: default 0.1.
        rho: radius before masking, default 0.05 (authors' code).
        sparsity: part of the weights that is not perturbed, default 0.9 (authors' code).
        every: steps between two masks, default 100 (authors' code).
        momentum: default 0.9.
        weight_decay: coupled, default 0.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 0.1, rho: float = 0.05, sparsity: float = 0.9, every: int = 100,
                 momentum: float = 0.9, weight_decay: float = 0.0, **options: Unpack[PointedDirected]) -> None:  # fmt: skip
        where = point.FSAM(rho=rho, sparsity=sparsity, every=every)
        super().__init__(params, lr, where, momentum, weight_decay, **options)
