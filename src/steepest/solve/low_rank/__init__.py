"""Matrices of low rank that are seen through a linear map: solvers that move their factors."""

from steepest.solve.low_rank.factored import FactoredGD, ScaledGD, SubgradientGD, nystrom
from steepest.solve.low_rank.problem import Observed

__all__ = ["FactoredGD", "Observed", "ScaledGD", "SubgradientGD", "nystrom"]
