"""Proximal gradient for the L1 norm."""

from __future__ import annotations

from typing import Any, Unpack

from steepest.core.optimizer import Optimizer
from steepest.core.options import Moved
from steepest.geometry import L1
from steepest.optim.registry import method


@method("constrained", space={"lr": ("log", 1e-4, 10.0)})
class ProxSGD(Optimizer):
    """Proximal gradient descent with an L1 penalty (ISTA): weights become exactly zero.

    Args:
        params: parameters or groups.
        lr: default 1e-2.
        l1: weight of the penalty, default 1e-4.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 1e-2, l1: float = 1e-4, **options: Unpack[Moved]) -> None:
        super().__init__(params, lr, geometry=L1(l1=l1), **options)
