"""SOAP: Adam in the eigenbasis of Shampoo's factors."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import direction as D
from steepest.core.optimizer import Optimizer
from steepest.core.options import Decayed
from steepest.geometry import Decay
from steepest.optim.betas import Betas, named
from steepest.optim.registry import method


@method("matrix", space={"lr": ("log", 1e-4, 1e-1)})
class SOAP(Optimizer):
    """SOAP: Adam in the eigenbasis of Shampoo's factors.

    Args:
        params: parameters or groups.
        lr: default 3e-3 (paper).
        betas: default (0.95, 0.95) (paper).
        eps: default 1e-8.
        weight_decay: decoupled, default 0.01 (authors' code).
        every: steps between two new bases, default 10 (paper).
        max_dim: the longest side with a factor, default 10,000 (authors' code).
        factor_beta: of the factors, default that of β₂ (authors' code).
        options: see :class:`steepest.Optimizer`.

    The first step moves nothing but by weight decay; see :class:`steepest.direction.SOAP`.
    """

    def __init__(self, params: Any, lr: float = 3e-3, betas: Betas = (0.95, 0.95), eps: float = 1e-8,
                 weight_decay: float = 0.01, every: int = 10, max_dim: int = 10_000, factor_beta: float | None = None,
                 **options: Unpack[Decayed]) -> None:  # fmt: skip
        both = named(betas)
        beta = both["beta2"] if factor_beta is None else factor_beta
        inner = D.SOAP(**both, factor_beta=beta, eps=eps, every=every, max_dim=max_dim)
        super().__init__(params, lr, direction=inner, geometry=Decay(weight_decay=weight_decay), **options)
