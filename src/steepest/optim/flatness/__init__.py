"""Methods that look for flat minima."""

from __future__ import annotations

from steepest.optim.flatness.asam import ASAM
from steepest.optim.flatness.bar import BAR
from steepest.optim.flatness.fsam import FSAM
from steepest.optim.flatness.gam import GAM
from steepest.optim.flatness.infosam import InfoSAM
from steepest.optim.flatness.lookahead import LookaheadAdamW
from steepest.optim.flatness.penalty import FGR
from steepest.optim.flatness.sam import SAM
from steepest.optim.flatness.vasso import VaSSO

__all__ = [
    "ASAM",
    "BAR",
    "FGR",
    "FSAM",
    "GAM",
    "SAM",
    "InfoSAM",
    "LookaheadAdamW",
    "VaSSO",
]
