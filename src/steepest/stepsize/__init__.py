"""Step sizes: how far?  Reductions over tensors, then arithmetic on the host."""

from steepest.core.part import LineSearch, StepSize
from steepest.stepsize.accelerated import ADoG, UDoG
from steepest.stepsize.adagrad import AdaGradNorm
from steepest.stepsize.distance import DAdaptAdam, DAdaptMomentum, DAdaptSGD, DoG, TDoG
from steepest.stepsize.dual import DAdaptAdaGrad, DAdaptDual
from steepest.stepsize.fading import FadingSlope
from steepest.stepsize.linesearch import SLS, PoNoS
from steepest.stepsize.median import MedianGap
from steepest.stepsize.multidimensional import BoxBacktracking, EllipsoidBacktracking
from steepest.stepsize.oasis import OASIS
from steepest.stepsize.polyak import SANIA, SPS
from steepest.stepsize.prodigy import Prodigy
from steepest.stepsize.slope import Slope
from steepest.stepsize.swats import SWATS
from steepest.stepsize.trust import LARS, TrustRatio

__all__ = [
    "LARS",
    "OASIS",
    "SANIA",
    "SLS",
    "SPS",
    "SWATS",
    "ADoG",
    "AdaGradNorm",
    "BoxBacktracking",
    "DAdaptAdaGrad",
    "DAdaptAdam",
    "DAdaptDual",
    "DAdaptMomentum",
    "DAdaptSGD",
    "DoG",
    "EllipsoidBacktracking",
    "FadingSlope",
    "LineSearch",
    "MedianGap",
    "PoNoS",
    "Prodigy",
    "Slope",
    "StepSize",
    "TDoG",
    "TrustRatio",
    "UDoG",
]
