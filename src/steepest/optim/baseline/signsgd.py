"""signSGD: every coordinate by the same length."""

from __future__ import annotations

from typing import Any, Unpack

from steepest.core.optimizer import Optimizer
from steepest.core.options import Directed
from steepest.direction import Sign
from steepest.optim.registry import method


@method("baseline")
class SignSGD(Optimizer):
    """Sign descent: every coordinate moves by lr.

    Args:
        params: parameters or groups.
        lr: default 1e-3.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 1e-3, **options: Unpack[Directed]) -> None:
        super().__init__(params, lr, direction=Sign(), **options)
