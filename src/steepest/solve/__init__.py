"""Solvers: problems with a structure, and loops of their own that use it."""

from steepest.solve.modelbased import Walk, model_based, model_step
from steepest.solve.perceptron import batch_perceptron, lr_gd, normalized_lr_gd
from steepest.solve.result import Result
from steepest.solve.structure import Friendly, is_so_friendly
from steepest.solve.subspace import SubspaceOptimizer
from steepest.solve.targets import SSO

__all__ = [
    "SSO",
    "Friendly",
    "Result",
    "SubspaceOptimizer",
    "Walk",
    "batch_perceptron",
    "is_so_friendly",
    "lr_gd",
    "model_based",
    "model_step",
    "normalized_lr_gd",
]
