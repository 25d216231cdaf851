"""Oracles: how are loss and gradient evaluated?"""

from steepest.core.part import Oracle
from steepest.oracle.clip import ClipNorm
from steepest.oracle.curvature import Diagonal, GaussNewtonBartlett, Hutchinson
from steepest.oracle.noise import AffineNoise
from steepest.oracle.private import PrivateRows
from steepest.oracle.spikes import SkipSpikes
from steepest.oracle.twopoint import TwoPoint

__all__ = [
    "AffineNoise",
    "ClipNorm",
    "Diagonal",
    "GaussNewtonBartlett",
    "Hutchinson",
    "Oracle",
    "PrivateRows",
    "SkipSpikes",
    "TwoPoint",
]
