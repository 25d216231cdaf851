"""Solvers for the separation of two classes by a hyperplane."""

from steepest.solve.margins.perceptron import (
    BatchPerceptron,
    LogisticGD,
    NormalizedLogisticGD,
    batch_perceptron,
    lr_gd,
    normalized_lr_gd,
)
from steepest.solve.margins.problem import Margins

__all__ = [
    "BatchPerceptron",
    "LogisticGD",
    "Margins",
    "NormalizedLogisticGD",
    "batch_perceptron",
    "lr_gd",
    "normalized_lr_gd",
]
