"""Named methods: assemblies of parts, sorted by family, one class a method, and the table of all of them."""

from __future__ import annotations

from steepest.optim.adaptive import ADOPT, MARS, AdaBelief, AdaGrad, Adam, AdamW, AMSGrad, CAdamW, CLion, Lion, NAdam
from steepest.optim.auto import Auto
from steepest.optim.baseline import SGD, ProjectedSGD, ProxSGD, SignSGD, SimplexSGD
from steepest.optim.betas import Pair
from steepest.optim.flatness import ASAM, BAR, FGR, FSAM, GAM, SAM, InfoSAM, LookaheadAdamW, VaSSO
from steepest.optim.games import ExtraAdam, ExtraSGD, OptimisticAdam, OptimisticSGD
from steepest.optim.gradient_free import MeZO
from steepest.optim.matrix import Muon
from steepest.optim.memory import FRUGAL, CompressedSGD, GaLore
from steepest.optim.registry import Method, create, methods
from steepest.optim.stepsize import (
    SLS,
    SMB,
    SPS,
    AdaGradNorm,
    AdaGradSQR,
    AdamSQR,
    ADoG,
    BoxBacktracking,
    DAdaptAdaGrad,
    DAdaptAdam,
    DAdaptDual,
    DAdaptSGD,
    DoG,
    EllipsoidBacktracking,
    LDoG,
    PoNoS,
    PoNoSPrec,
    SMBi,
    TDoG,
    UDoG,
)

__all__ = [
    "ADOPT",
    "ASAM",
    "BAR",
    "FGR",
    "FRUGAL",
    "FSAM",
    "GAM",
    "MARS",
    "SAM",
    "SGD",
    "SLS",
    "SMB",
    "SPS",
    "ADoG",
    "AMSGrad",
    "AdaBelief",
    "AdaGrad",
    "AdaGradNorm",
    "AdaGradSQR",
    "Adam",
    "AdamSQR",
    "AdamW",
    "Auto",
    "BoxBacktracking",
    "CAdamW",
    "CLion",
    "CompressedSGD",
    "DAdaptAdaGrad",
    "DAdaptAdam",
    "DAdaptDual",
    "DAdaptSGD",
    "DoG",
    "EllipsoidBacktracking",
    "ExtraAdam",
    "ExtraSGD",
    "GaLore",
    "InfoSAM",
    "LDoG",
    "Lion",
    "LookaheadAdamW",
    "MeZO",
    "Method",
    "Muon",
    "NAdam",
    "OptimisticAdam",
    "OptimisticSGD",
    "Pair",
    "PoNoS",
    "PoNoSPrec",
    "ProjectedSGD",
    "ProxSGD",
    "SMBi",
    "SignSGD",
    "SimplexSGD",
    "TDoG",
    "UDoG",
    "VaSSO",
    "create",
    "methods",
]
