"""Methods that treat a matrix as a matrix."""

from __future__ import annotations

from steepest.optim.matrix.muon import Muon
from steepest.optim.matrix.shampoo import Shampoo

__all__ = [
    "Muon",
    "Shampoo",
]
