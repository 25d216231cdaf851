"""Solvers for saddle points and variational inequalities."""

from steepest.solve.saddle.extragradient import Extragradient

__all__ = ["Extragradient"]
