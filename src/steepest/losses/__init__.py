"""Losses as pure functions: ``(outputs, targets, state) -> (loss, state)``, and what is done to a loss."""

from steepest.losses.early import early_learning, early_learning_state
from steepest.losses.flood import flood
from steepest.losses.preference import dr_dpo, soft_min

__all__ = [
    "dr_dpo",
    "early_learning",
    "early_learning_state",
    "flood",
    "soft_min",
]
