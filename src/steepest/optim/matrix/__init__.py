"""Methods that treat a matrix as a matrix."""

from __future__ import annotations

from steepest.optim.matrix.muon import Muon
from steepest.optim.matrix.psgd import PSGD
from steepest.optim.matrix.shampoo import Shampoo
from steepest.optim.matrix.soap import SOAP

__all__ = [
    "PSGD",
    "SOAP",
    "Muon",
    "Shampoo",
]
