"""PSGD: gradients whitened by a Kronecker product of triangular factors."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import direction as D
from steepest.core.optimizer import Optimizer
from steepest.core.options import Decayed
from steepest.geometry import Decay
from steepest.optim.registry import method


@method("matrix", space={"lr": ("log", 1e-4, 1e-1)})
class PSGD(Optimizer):
    """PSGD with Kronecker factors on the group of triangular matrices, fitted to whiten gradients.

    Args:
        params: parameters or groups.
        lr: default 1e-3 (author's code).
        momentum: default 0.9.
        weight_decay: decoupled, default 0.
        rate: of the factors, default 0.1 (author's code).
        every: steps between two updates of the factors, default 1.
        damping: in units of g, default 1e-9 (author's code).
        clip: the largest root mean square of a step of lr 1, default 2 (author's code).
        max_dim: a longer side has a diagonal factor, default 8192.
        max_skew: so has one whose square is more than this times the tensor's elements, default 1 (author's code).
        options: see :class:`steepest.Optimizer`.

    See :class:`steepest.direction.PSGD` for the equations and for what the author's code does otherwise.
    """

    def __init__(self, params: Any, lr: float = 1e-3, momentum: float = 0.9, weight_decay: float = 0.0, rate: float = 0.1,
                 every: int = 1, damping: float = 1e-9, clip: float = 2.0, max_dim: int = 8192, max_skew: int = 1,
                 **options: Unpack[Decayed]) -> None:  # fmt: skip
        inner = D.PSGD(momentum=momentum, rate=rate, every=every, damping=damping, clip=clip, max_dim=max_dim,
                       max_skew=max_skew)  # fmt: skip
        super().__init__(params, lr, direction=inner, geometry=Decay(weight_decay=weight_decay), **options)
