"""Methods that find their step size: searches, Polyak's step, distances, models."""

from __future__ import annotations

from steepest.optim.stepsize.accelerated import ADoG, UDoG
from steepest.optim.stepsize.adagradnorm import AdaGradNorm
from steepest.optim.stepsize.backtracking import BoxBacktracking, EllipsoidBacktracking
from steepest.optim.stepsize.dadaptation import DAdaptAdaGrad, DAdaptAdam, DAdaptDual, DAdaptSGD
from steepest.optim.stepsize.dog import DoG, LDoG, TDoG
from steepest.optim.stepsize.ponos import PoNoS, PoNoSPrec
from steepest.optim.stepsize.prodigy import Prodigy
from steepest.optim.stepsize.sania import AdaGradSQR, AdamSQR
from steepest.optim.stepsize.sls import SLS
from steepest.optim.stepsize.smb import SMB, SMBi
from steepest.optim.stepsize.sps import SPS

__all__ = [
    "SLS",
    "SMB",
    "SPS",
    "ADoG",
    "AdaGradNorm",
    "AdaGradSQR",
    "AdamSQR",
    "BoxBacktracking",
    "DAdaptAdaGrad",
    "DAdaptAdam",
    "DAdaptDual",
    "DAdaptSGD",
    "DoG",
    "EllipsoidBacktracking",
    "LDoG",
    "PoNoS",
    "PoNoSPrec",
    "Prodigy",
    "SMBi",
    "TDoG",
    "UDoG",
]
