"""Methods for games: extragradient and optimism."""

from __future__ import annotations

from steepest.optim.games.extragradient import ExtraAdam, ExtraSGD
from steepest.optim.games.optimistic import OptimisticAdam, OptimisticSGD

__all__ = [
    "ExtraAdam",
    "ExtraSGD",
    "OptimisticAdam",
    "OptimisticSGD",
]
