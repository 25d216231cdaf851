"""Regularization by the gradient's norm, through finite differences."""

from __future__ import annotations

from typing import Any, Literal, Unpack

from steepest import point
from steepest.core.options import PointedDirected
from steepest.optim.flatness.over_sgd import OverSGD
from steepest.optim.registry import method


@method("flatness", forwards=2, backwards=2,
        space={"lr": ("log", 1e-4, 10.0), "strength": ("log", 1e-3, 1.0), "ascent": ("log", 1e-3, 1.0)})  # fmt: skip
class FGR(OverSGD):
    """Finite-difference gradient regularization over SGD with momentum: a penalty on the norm of the gradient.

    Args:
        params: parameters or groups.
        lr: default 0.1.
        strength: of the penalty, default 0.05.
        ascent: distance along the gradient at which it is evaluated again, default 0.05.
        side: ``"forward"``, ``"backward"``, ``"centred"`` (which evaluates three times) or ``"exact"`` (which backpropagates
            twice; see :class:`steepest.point.GradientPenalty`).
        momentum: default 0.9.
        weight_decay: coupled, default 0.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 0.1,
        strength: float = 0.05,
        ascent: float = 0.05,
        side: Literal["forward", "backward", "centred", "exact"] = "forward",
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        **options: Unpack[PointedDirected],
    ) -> None:
        where = point.GradientPenalty(strength=strength, ascent=ascent, side=side)
        super().__init__(params, lr, where, momentum, weight_decay, **options)
