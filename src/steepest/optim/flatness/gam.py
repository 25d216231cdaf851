"""GAM: first-order flatness."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import point
from steepest.core.options import PointedDirected
from steepest.optim.flatness.over_sgd import RHO, OverSGD
from steepest.optim.registry import method


@method("flatness", forwards=4, backwards=4, space=RHO | {"ascent": ("log", 1e-3, 0.3)})
class GAM(OverSGD):
    """Gradient norm aware minimization over SGD with momentum: the gradient is small all around.

    Args:
        params: parameters or groups.
        lr: default 0.1 (authors' code).
        rho: radius within which the gradient is largest, default 0.2 (authors' code).
        ascent: step of finite differences, default 0.02 (authors' code).
        alpha: weight of the gradient a step ahead against that at the worst point, default 0.6 (authors' code).
        blend: weight of the gradient here against that at the worst point in m, default 0.5 (authors' code's beta).
        tilt: how much of m across the direction is taken away, default 0.03 (authors' code's gamma).
        whole: in m the gradient here has the weight 1 instead of ``blend`` (authors' code), default False (paper).
        momentum: default 0.9 (authors' code).
        weight_decay: coupled, default 0 (authors' code: 5e-4).
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 0.1, rho: float = 0.2, ascent: float = 0.02, alpha: float = 0.6,
                 blend: float = 0.5, tilt: float = 0.03, momentum: float = 0.9, weight_decay: float = 0.0,
                 whole: bool = False, **options: Unpack[PointedDirected]) -> None:  # fmt: skip
        where = point.GAM(rho=rho, ascent=ascent, alpha=alpha, blend=blend, tilt=tilt, whole=whole)
        super().__init__(params, lr, where, momentum, weight_decay, **options)
