"""Cautious AdamW and Lion: coordinates that disagree with the gradient stay."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import direction as D
from steepest.core.optimizer import Optimizer
from steepest.core.options import Decayed
from steepest.geometry import Decay
from steepest.optim.betas import Betas, named
from steepest.optim.registry import method


@method("adaptive")
class CAdamW(Optimizer):
    """Cautious AdamW: coordinates that disagree with the gradient stay.

    Args:
        params: parameters or groups.
        lr: default 1e-3.
        betas: default (0.9, 0.999).
        eps: default 1e-6 (authors' code).
        weight_decay: decoupled, default 0.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 1e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-6,
                 weight_decay: float = 0.0, **options: Unpack[Decayed]) -> None:  # fmt: skip
        inner = D.Cautious(D.Adam(**named(betas), eps=eps))
        super().__init__(params, lr, direction=inner, geometry=Decay(weight_decay=weight_decay), **options)


@method("adaptive", space={"lr": ("log", 1e-6, 0.1)})
class CLion(Optimizer):
    """Cautious Lion.

    Args:
        params: parameters or groups.
        lr: default 1e-4.
        betas: default (0.95, 0.98) (authors' code).
        weight_decay: decoupled, default 0.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 1e-4, betas: Betas = (0.95, 0.98), weight_decay: float = 0.0,
                 **options: Unpack[Decayed]) -> None:  # fmt: skip
        inner = D.Cautious(D.Lion(**named(betas)))
        super().__init__(params, lr, direction=inner, geometry=Decay(weight_decay=weight_decay), **options)
