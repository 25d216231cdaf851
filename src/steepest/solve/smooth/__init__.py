"""Solvers for one smooth function without constraints."""

from steepest.solve.smooth.gradient import GradientDescent
from steepest.solve.smooth.lbfgs import LBFGS

__all__ = ["LBFGS", "GradientDescent"]
