"""Named methods: assemblies of parts, sorted by family, one class a method, and the table of all of them."""

from __future__ import annotations

from steepest.optim.adaptive import (
    ADOPT,
    MARS,
    AdaBelief,
    AdaGrad,
    Adam,
    AdamW,
    AMSGrad,
    CAdamW,
    CLion,
    Lion,
    NAdam,
    Pair,
)
from steepest.optim.auto import Auto
from steepest.optim.baseline import SGD, ProjectedSGD, ProxSGD, SignSGD, SimplexSGD
from steepest.optim.flatness import ASAM, FGR, FSAM, GAM, SAM, InfoSAM, LookaheadAdamW, VaSSO
from steepest.optim.flatness_bar import BAR
from steepest.optim.games import ExtraAdam, ExtraSGD, OptimisticAdam, OptimisticSGD
from steepest.optim.gradient_free import MeZO
from steepest.optim.memory import FRUGAL, CompressedSGD, GaLore
from steepest.optim.percoordinate import BoxBacktracking, EllipsoidBacktracking
from steepest.optim.polyak import SMB, AdaGradSQR, AdamSQR, PoNoSPrec, SMBi
from steepest.optim.registry import Method, create, methods
from steepest.optim.tuningfree import (
    SLS,
    SPS,
    AdaGradNorm,
    ADoG,
    DAdaptAdaGrad,
    DAdaptAdam,
    DAdaptDual,
    DAdaptSGD,
    DoG,
    LDoG,
    PoNoS,
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
