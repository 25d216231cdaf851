"""Gravity: momentum over damped gradients."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import direction as D
from steepest.core.optimizer import Optimizer
from steepest.core.options import Directed
from steepest.optim.registry import method


@method("adaptive")
class Gravity(Optimizer):
    """Gravity: momentum over gradients of which the largest are damped.

    Args:
        params: parameters or groups.
        lr: default 0.1 (paper).
        alpha: size of the first, random moves, default 0.01 (paper).
        momentum: decay of the momentum in the end, default 0.9 (paper).
        seed: of the random start, default 0.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 0.1, alpha: float = 0.01, momentum: float = 0.9, seed: int = 0,
                 **options: Unpack[Directed]) -> None:  # fmt: skip
        super().__init__(params, lr, direction=D.Gravity(alpha=alpha, momentum=momentum, seed=seed), **options)
