"""Points: where is the gradient evaluated, and which point is kept?"""

from steepest.core.part import Point
from steepest.point.accelerated import AcceleGrad, UniXGrad
from steepest.point.average import Average
from steepest.point.balance import BAR
from steepest.point.curvature import Hutchinson
from steepest.point.fisher import FSAM
from steepest.point.gam import GAM
from steepest.point.games import ExtraGradient, Optimistic, ProximalPoint, Reflected
from steepest.point.infosam import InfoSAM
from steepest.point.lookahead import Lookahead
from steepest.point.mars import MarsExact
from steepest.point.penalty import GradientPenalty
from steepest.point.perturbed import Perturbed
from steepest.point.presam import ASAM, PreSAM
from steepest.point.sam import SAM
from steepest.point.schedulefree import ScheduleFree
from steepest.point.smb import SMB, SMBi
from steepest.point.vasso import VaSSO
from steepest.point.xgrad import XGrad

__all__ = [
    "ASAM",
    "BAR",
    "FSAM",
    "GAM",
    "SAM",
    "SMB",
    "AcceleGrad",
    "Average",
    "ExtraGradient",
    "GradientPenalty",
    "Hutchinson",
    "InfoSAM",
    "Lookahead",
    "MarsExact",
    "Optimistic",
    "Perturbed",
    "Point",
    "PreSAM",
    "ProximalPoint",
    "Reflected",
    "SMBi",
    "ScheduleFree",
    "UniXGrad",
    "VaSSO",
    "XGrad",
]
