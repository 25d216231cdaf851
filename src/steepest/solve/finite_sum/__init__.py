"""Solvers for means over many samples, which look at few of them in a step."""

from steepest.solve.finite_sum.svrg import SVRG

__all__ = ["SVRG"]
