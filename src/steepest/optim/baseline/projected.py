"""Projected gradient: onto a box, and onto the simplex."""

from __future__ import annotations

from typing import Any, Unpack

from steepest.core.optimizer import Optimizer
from steepest.core.options import Moved
from steepest.geometry import Box, Simplex
from steepest.optim.registry import method


@method("constrained", space={"lr": ("log", 1e-4, 10.0)})
class ProjectedSGD(Optimizer):
    """Projected gradient descent in a box.

    Args:
        params: parameters or groups.
        lr: default 1e-2.
        lower: default -1.
        upper: default 1.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(
        self, params: Any, lr: float = 1e-2, lower: float = -1.0, upper: float = 1.0, **options: Unpack[Moved]
    ) -> None:
        super().__init__(params, lr, geometry=Box(lower, upper), **options)


@method("constrained", space={"lr": ("log", 1e-4, 10.0)})
class SimplexSGD(Optimizer):
    """Projected gradient descent with every row on the probability simplex.

    Args:
        params: parameters or groups.
        lr: default 1e-2.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 1e-2, **options: Unpack[Moved]) -> None:
        super().__init__(params, lr, geometry=Simplex(), **options)
