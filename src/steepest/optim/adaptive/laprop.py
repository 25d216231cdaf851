"""LaProp: momentum of scaled gradients."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import direction as D
from steepest.core.optimizer import Optimizer
from steepest.core.options import Decayed
from steepest.geometry import Decay
from steepest.optim.betas import Betas, named
from steepest.optim.registry import method


@method("adaptive")
class LaProp(Optimizer):
    """LaProp: a momentum of gradients that are scaled one by one.

    Args:
        params: parameters or groups.
        lr: default 4e-4 (paper).
        betas: default (0.9, 0.999) (paper).
        eps: default 1e-15 (paper).
        weight_decay: decoupled, default 0.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 4e-4, betas: Betas = (0.9, 0.999), eps: float = 1e-15,
                 weight_decay: float = 0.0, **options: Unpack[Decayed]) -> None:  # fmt: skip
        inner = D.LaProp(**named(betas), eps=eps)
        super().__init__(params, lr, direction=inner, geometry=Decay(weight_decay=weight_decay), **options)
