"""Solvers: problems with a structure, and methods that use it.

A problem says what may be evaluated and counts it, a solver is a frozen dataclass of numbers, and :func:`solve` runs one on the
other.
"""

from steepest.solve import inner, sets
from steepest.solve.black_box import AskTell, BlackBox, RankDescent
from steepest.solve.composite import FISTA, DampedAcceleration, ProximalGradient, mcp, scad
from steepest.solve.constrained import FrankWolfe, MirrorSinkhorn, rounded
from steepest.solve.coordinate import BlockDescent, GreedyPairs, Quadratic, one_norm_step, svm_dual
from steepest.solve.driver import Snapshot, solve
from steepest.solve.finite_sum import (
    AISARAH,
    PAGE,
    SAGA,
    SARAH,
    SVRG,
    ConvexComposite,
    ModelBased,
    ShuffledSGD,
    Walk,
    model_based,
    model_step,
)
from steepest.solve.in_place import Optimizer
from steepest.solve.low_rank import FactoredGD, Observed, ScaledGD, SubgradientGD, nystrom
from steepest.solve.margins import (
    BatchPerceptron,
    LogisticGD,
    Margins,
    NormalizedLogisticGD,
    batch_perceptron,
    lr_gd,
    normalized_lr_gd,
)
from steepest.solve.newton import NewtonCG, SANIANewton
from steepest.solve.problem import Composite, Constrained, Counts, Differentiable, FiniteSum, Problem, Smooth
from steepest.solve.result import Result, Status
from steepest.solve.saddle import (
    AdaOptDAPlus,
    CompetitiveGradient,
    Extragradient,
    Game,
    Halpern,
    OGPlus,
    OptDAPlus,
    ProximalPoint,
    Saddle,
    SingleCall,
    VariationalInequality,
)
from steepest.solve.smooth import LBFGS, GradientDescent
from steepest.solve.solver import Solver, generator, seeded
from steepest.solve.subspace import Friendly, Network, SubspaceOptimizer, SubspaceSearch, is_so_friendly
from steepest.solve.surrogate import SSO, Targets, TargetSurrogate

__all__ = [
    "AISARAH",
    "FISTA",
    "LBFGS",
    "PAGE",
    "SAGA",
    "SARAH",
    "SSO",
    "SVRG",
    "AdaOptDAPlus",
    "AskTell",
    "BatchPerceptron",
    "BlackBox",
    "BlockDescent",
    "CompetitiveGradient",
    "Composite",
    "Constrained",
    "ConvexComposite",
    "Counts",
    "DampedAcceleration",
    "Differentiable",
    "Extragradient",
    "FactoredGD",
    "FiniteSum",
    "FrankWolfe",
    "Friendly",
    "Game",
    "GradientDescent",
    "GreedyPairs",
    "Halpern",
    "LogisticGD",
    "Margins",
    "MirrorSinkhorn",
    "ModelBased",
    "Network",
    "NewtonCG",
    "NormalizedLogisticGD",
    "OGPlus",
    "Observed",
    "OptDAPlus",
    "Optimizer",
    "Problem",
    "ProximalGradient",
    "ProximalPoint",
    "Quadratic",
    "RankDescent",
    "Result",
    "SANIANewton",
    "Saddle",
    "ScaledGD",
    "ShuffledSGD",
    "SingleCall",
    "Smooth",
    "Snapshot",
    "Solver",
    "Status",
    "SubgradientGD",
    "SubspaceOptimizer",
    "SubspaceSearch",
    "TargetSurrogate",
    "Targets",
    "VariationalInequality",
    "Walk",
    "batch_perceptron",
    "generator",
    "inner",
    "is_so_friendly",
    "lr_gd",
    "mcp",
    "model_based",
    "model_step",
    "normalized_lr_gd",
    "nystrom",
    "one_norm_step",
    "rounded",
    "scad",
    "seeded",
    "sets",
    "solve",
    "svm_dual",
]
