"""Methods that keep or send less: low rank, few columns, compression."""

from __future__ import annotations

from steepest.optim.memory.factored import SM3, Adafactor, NovoGrad
from steepest.optim.memory.feedback import CompressedSGD, ConEF
from steepest.optim.memory.frugal import FRUGAL
from steepest.optim.memory.galore import GaLore

__all__ = [
    "FRUGAL",
    "SM3",
    "Adafactor",
    "CompressedSGD",
    "ConEF",
    "GaLore",
    "NovoGrad",
]
