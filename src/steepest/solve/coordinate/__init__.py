"""Solvers that move a few coordinates at a time, and the quadratic problem whose columns they read."""

from steepest.solve.coordinate.blocks import BlockDescent
from steepest.solve.coordinate.problem import Quadratic, svm_dual
from steepest.solve.coordinate.two import GreedyPairs, one_norm_step

__all__ = ["BlockDescent", "GreedyPairs", "Quadratic", "one_norm_step", "svm_dual"]
