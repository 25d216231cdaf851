"""Points: where do we ask, and which point do we keep?"""

from steepest.core.part import Point
from steepest.point.accelerated import AcceleGrad, UniXGrad
from steepest.point.average import Average
from steepest.point.balance import BAR
from steepest.point.games import ExtraGradient, Optimistic
from steepest.point.lookahead import Lookahead
from steepest.point.model import SMB
from steepest.point.sam import SAM

__all__ = [
    "BAR",
    "SAM",
    "SMB",
    "AcceleGrad",
    "Average",
    "ExtraGradient",
    "Lookahead",
    "Optimistic",
    "Point",
    "UniXGrad",
]
