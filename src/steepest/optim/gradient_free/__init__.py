"""Methods that see losses and no gradients."""

from __future__ import annotations

from steepest.optim.gradient_free.mezo import MeZO

__all__ = [
    "MeZO",
]
