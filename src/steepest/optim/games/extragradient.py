"""Extragradient, plain and with Adam."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import direction as D
from steepest import point
from steepest.core.optimizer import Optimizer
from steepest.core.options import Pointed, PointedDirected
from steepest.optim.betas import Betas, named
from steepest.optim.registry import method


@method("games", forwards=2, backwards=2)
class ExtraSGD(Optimizer):
    """Extragradient: evaluate a step ahead, walk from here.

    Args:
        params: parameters or groups; a maximizing player's group has ``maximize=True``.
        lr: of the second half step, default 1e-2.
        ahead: the first half step in units of the second, default 1.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 1e-2, ahead: float = 1.0, **options: Unpack[Pointed]) -> None:
        super().__init__(params, lr, point=point.ExtraGradient(ahead=ahead), **options)


@method("games", forwards=2, backwards=2)
class ExtraAdam(Optimizer):
    """ExtraAdam: extragradient with Adam in both half steps.

    Args:
        params: parameters or groups; a maximizing player's group has ``maximize=True``.
        lr: default 1e-3 (paper).
        betas: default (0.9, 0.999) (authors' code; 0.5, 0.9 in the paper's GANs).
        eps: default 1e-8.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 1e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-8,
                 **options: Unpack[PointedDirected]) -> None:  # fmt: skip
        super().__init__(params, lr, direction=D.Adam(**named(betas), eps=eps), point=point.ExtraGradient(), **options)
