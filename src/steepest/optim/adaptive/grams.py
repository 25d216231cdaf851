"""Grams: Adam's magnitudes with the signs of the gradient."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import direction as D
from steepest.core.optimizer import Optimizer
from steepest.core.options import Decayed
from steepest.geometry import Decay
from steepest.optim.betas import Betas, named
from steepest.optim.registry import method


@method("adaptive")
class Grams(Optimizer):
    """Grams: as far as AdamW would go, the way the gradient points.

    Args:
        params: parameters or groups.
        lr: default 1e-3 (paper).
        betas: default (0.9, 0.999) (paper).
        eps: default 1e-6 (authors' code).
        weight_decay: decoupled, default 0.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 1e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-6,
                 weight_decay: float = 0.0, **options: Unpack[Decayed]) -> None:  # fmt: skip
        inner = D.Grams(D.Adam(**named(betas), eps=eps))
        super().__init__(params, lr, direction=inner, geometry=Decay(weight_decay=weight_decay), **options)
