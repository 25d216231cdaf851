"""Step sizes: how far?  Reductions over tensors, then arithmetic on the host."""

from steepest.core.part import LineSearch, StepSize
from steepest.stepsize.distance import DAdaptAdam, DAdaptSGD, DoG
from steepest.stepsize.linesearch import SLS, PoNoS
from steepest.stepsize.polyak import SPS

__all__ = ["SLS", "SPS", "DAdaptAdam", "DAdaptSGD", "DoG", "LineSearch", "PoNoS", "StepSize"]
