"""Where these methods stood until version 0.1, for the pickles that name the place."""

from __future__ import annotations

from steepest.optim.stepsize import SLS as SLS
from steepest.optim.stepsize import SPS as SPS
from steepest.optim.stepsize import AdaGradNorm as AdaGradNorm
from steepest.optim.stepsize import ADoG as ADoG
from steepest.optim.stepsize import DAdaptAdaGrad as DAdaptAdaGrad
from steepest.optim.stepsize import DAdaptAdam as DAdaptAdam
from steepest.optim.stepsize import DAdaptDual as DAdaptDual
from steepest.optim.stepsize import DAdaptSGD as DAdaptSGD
from steepest.optim.stepsize import DoG as DoG
from steepest.optim.stepsize import LDoG as LDoG
from steepest.optim.stepsize import PoNoS as PoNoS
from steepest.optim.stepsize import TDoG as TDoG
from steepest.optim.stepsize import UDoG as UDoG
