"""Adam and its family, sign methods, and the two parts that go around any of them."""

from __future__ import annotations

from steepest.optim.adaptive.adabelief import AdaBelief
from steepest.optim.adaptive.adabound import AdaBound, AMSBound
from steepest.optim.adaptive.adadelta import Adadelta
from steepest.optim.adaptive.adagrad import AdaGrad
from steepest.optim.adaptive.adam import Adam, AdamW, AMSGrad
from steepest.optim.adaptive.adamax import AdaMax
from steepest.optim.adaptive.adamnc import AdamNC
from steepest.optim.adaptive.adamod import AdaMod
from steepest.optim.adaptive.adan import Adan
from steepest.optim.adaptive.ademamix import AdEMAMix
from steepest.optim.adaptive.adopt import ADOPT
from steepest.optim.adaptive.cautious import CAdamW, CLion
from steepest.optim.adaptive.diffgrad import DiffGrad
from steepest.optim.adaptive.fadam import FAdam
from steepest.optim.adaptive.grams import Grams
from steepest.optim.adaptive.gravity import Gravity
from steepest.optim.adaptive.laprop import LaProp
from steepest.optim.adaptive.layerwise import LAMB, LARS
from steepest.optim.adaptive.lion import Lion
from steepest.optim.adaptive.lionk import LionK
from steepest.optim.adaptive.mars import MARS, MARSExact, MARSLion
from steepest.optim.adaptive.nadam import NAdam
from steepest.optim.adaptive.radam import RAdam
from steepest.optim.adaptive.rmsprop import RMSprop
from steepest.optim.adaptive.schedulefree import ScheduleFreeAdamW, ScheduleFreeSGD
from steepest.optim.adaptive.smgd import SMGD
from steepest.optim.adaptive.swats import SWATS
from steepest.optim.adaptive.xgrad import XGradAdamW, XGradSGD

__all__ = [
    "ADOPT",
    "LAMB",
    "LARS",
    "MARS",
    "SMGD",
    "SWATS",
    "AMSBound",
    "AMSGrad",
    "AdEMAMix",
    "AdaBelief",
    "AdaBound",
    "AdaGrad",
    "AdaMax",
    "AdaMod",
    "Adadelta",
    "Adam",
    "AdamNC",
    "AdamW",
    "Adan",
    "CAdamW",
    "CLion",
    "DiffGrad",
    "FAdam",
    "Grams",
    "Gravity",
    "LaProp",
    "Lion",
    "LionK",
    "MARSExact",
    "MARSLion",
    "NAdam",
    "RAdam",
    "RMSprop",
    "ScheduleFreeAdamW",
    "ScheduleFreeSGD",
    "XGradAdamW",
    "XGradSGD",
]
