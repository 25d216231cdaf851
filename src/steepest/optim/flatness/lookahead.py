"""Lookahead around AdamW."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import direction as D
from steepest import point
from steepest.core.optimizer import Optimizer
from steepest.core.options import PointedDecayed
from steepest.geometry import Decay
from steepest.optim.betas import Betas, named
from steepest.optim.registry import method


@method("averaging")
class LookaheadAdamW(Optimizer):
    """Lookahead over AdamW; for another direction pass point=Lookahead to Optimizer.

    Args:
        params: parameters or groups.
        lr: default 1e-3.
        betas: default (0.9, 0.999).
        eps: default 1e-8.
        weight_decay: decoupled, default 0.01.
        alpha: weight of the fast weights, default 0.5.
        k: steps between synchronisations, default 5.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        alpha: float = 0.5,
        k: int = 5,
        **options: Unpack[PointedDecayed],
    ) -> None:
        slow = point.Lookahead(alpha=alpha, k=k)
        super().__init__(params, lr, direction=D.Adam(**named(betas), eps=eps),
                         geometry=Decay(weight_decay=weight_decay), point=slow, **options)  # fmt: skip
