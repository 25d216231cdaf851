"""What methods that perturb share: SGD with momentum moves, and the range of the radius."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import direction as D
from steepest.core.optimizer import Optimizer
from steepest.core.options import PointedDirected
from steepest.core.part import Point
from steepest.optim.registry import Range

RHO: dict[str, Range] = {"lr": ("log", 1e-4, 10.0), "rho": ("log", 1e-3, 1.0)}


class OverSGD(Optimizer):
    """A point over SGD with momentum and coupled weight decay, as the papers run it."""

    def __init__(self, params: Any, lr: float, where: Point, momentum: float, weight_decay: float,
                 **options: Unpack[PointedDirected]) -> None:  # fmt: skip
        inner = D.Coupled(D.Momentum(momentum=momentum), weight_decay=weight_decay)
        super().__init__(params, lr, direction=inner, point=where, **options)


__all__: list[str] = []  # nothing for users
