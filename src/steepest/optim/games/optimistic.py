"""Optimistic steps, plain and with Adam."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import direction as D
from steepest import point
from steepest.core.optimizer import Optimizer
from steepest.core.options import Pointed, PointedDirected
from steepest.optim.betas import Betas, named
from steepest.optim.registry import method


@method("games")
class OptimisticSGD(Optimizer):
    """Optimistic gradient descent (ascent): extragradient's answer at the price of one gradient.

    Args:
        params: parameters or groups; a maximizing player's group has ``maximize=True``.
        lr: default 1e-2.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 1e-2, **options: Unpack[Pointed]) -> None:
        super().__init__(params, lr, point=point.Optimistic(), **options)


@method("games")
class OptimisticAdam(Optimizer):
    """Optimistic Adam: Adam's step corrected by the step before.

    Args:
        params: parameters or groups; a maximizing player's group has ``maximize=True``.
        lr: default 1e-3.
        betas: default (0.9, 0.999).
        eps: default 1e-8.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 1e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-8,
                 **options: Unpack[PointedDirected]) -> None:  # fmt: skip
        super().__init__(params, lr, direction=D.Adam(**named(betas), eps=eps), point=point.Optimistic(), **options)
