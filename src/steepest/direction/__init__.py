"""Directions: which way, given g?  A pure map from gradient, point and state to a descent direction and new state."""

from steepest.core.part import Around, Direction
from steepest.direction.adabelief import AdaBelief
from steepest.direction.adabound import AdaBound, AMSBound
from steepest.direction.adadelta import Adadelta
from steepest.direction.adafactor import Adafactor
from steepest.direction.adagrad import AdaGrad
from steepest.direction.adam import Adam, AMSGrad
from steepest.direction.adamax import AdaMax
from steepest.direction.adamnc import AdamNC
from steepest.direction.adamod import AdaMod
from steepest.direction.adan import Adan
from steepest.direction.ademamix import AdEMAMix
from steepest.direction.adopt import Adopt
from steepest.direction.cautious import Cautious
from steepest.direction.choose import Choose
from steepest.direction.curvature import AdaHessian, Sophia
from steepest.direction.diffgrad import DiffGrad
from steepest.direction.dual import DualAdaGrad, DualAveraging
from steepest.direction.fadam import FAdam
from steepest.direction.grams import Grams
from steepest.direction.gravity import Gravity
from steepest.direction.innaprop import INNAprop
from steepest.direction.laprop import LaProp
from steepest.direction.lionk import LionHuber, LionK, LionP, LionTruncated
from steepest.direction.mars import Mars
from steepest.direction.median import ComponentMedian, GeometricMedian
from steepest.direction.momentum import Coupled, Decaying, HeavyBall, Momentum, SteppedMomentum, WeightedMomentum
from steepest.direction.muon import Muon
from steepest.direction.nadam import NAdam
from steepest.direction.noise import AnnealedNoise
from steepest.direction.novograd import NovoGrad
from steepest.direction.percoordinate import BoxScaled, EllipsoidScaled
from steepest.direction.prodigy import Prodigy
from steepest.direction.psgd import PSGD
from steepest.direction.radam import RAdam
from steepest.direction.rmsprop import CenteredRMSprop, CorrectedRMSprop, RMSprop
from steepest.direction.shampoo import Shampoo
from steepest.direction.sign import Lion, Sign
from steepest.direction.sm3 import SM3, Averaged
from steepest.direction.soap import SOAP
from steepest.direction.squares import AdaGradSQR, AdamSQR, DiagonalHessian
from steepest.direction.swats import SwitchedAdam

__all__ = [
    "PSGD",
    "SM3",
    "SOAP",
    "AMSBound",
    "AMSGrad",
    "AdEMAMix",
    "AdaBelief",
    "AdaBound",
    "AdaGrad",
    "AdaGradSQR",
    "AdaHessian",
    "AdaMax",
    "AdaMod",
    "Adadelta",
    "Adafactor",
    "Adam",
    "AdamNC",
    "AdamSQR",
    "Adan",
    "Adopt",
    "AnnealedNoise",
    "Around",
    "Averaged",
    "BoxScaled",
    "Cautious",
    "CenteredRMSprop",
    "Choose",
    "ComponentMedian",
    "CorrectedRMSprop",
    "Coupled",
    "Decaying",
    "DiagonalHessian",
    "DiffGrad",
    "Direction",
    "DualAdaGrad",
    "DualAveraging",
    "EllipsoidScaled",
    "FAdam",
    "GeometricMedian",
    "Grams",
    "Gravity",
    "HeavyBall",
    "INNAprop",
    "LaProp",
    "Lion",
    "LionHuber",
    "LionK",
    "LionP",
    "LionTruncated",
    "Mars",
    "Momentum",
    "Muon",
    "NAdam",
    "NovoGrad",
    "Prodigy",
    "RAdam",
    "RMSprop",
    "Shampoo",
    "Sign",
    "Sophia",
    "SteppedMomentum",
    "SwitchedAdam",
    "WeightedMomentum",
]
