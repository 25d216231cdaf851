"""Adan: adaptive Nesterov momentum."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import direction as D
from steepest import geometry
from steepest.core.optimizer import Optimizer
from steepest.core.options import Decayed
from steepest.optim.betas import Betas3, named3
from steepest.optim.registry import method


@method("adaptive")
class Adan(Optimizer):
    """Adan: Nesterov momentum from differences of gradients, scaled as Adam's.

    Args:
        params: parameters or groups.
        lr: default 1e-3 (authors' code).
        betas: decay of gradients, of their differences and of squares, default (0.98, 0.92, 0.99) (authors' code).
        eps: default 1e-8 (authors' code).
        weight_decay: by the prox of a squared norm, as in the paper, default 0.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 1e-3, betas: Betas3 = (0.98, 0.92, 0.99), eps: float = 1e-8,
                 weight_decay: float = 0.0, **options: Unpack[Decayed]) -> None:  # fmt: skip
        inner = D.Adan(**named3(betas), eps=eps)
        super().__init__(params, lr, direction=inner, geometry=geometry.L2(weight_decay=weight_decay), **options)
