"""Solvers over a convex set that is known by linear minimization; those that project are in ``composite``."""

from steepest.solve.constrained.frank_wolfe import FrankWolfe

__all__ = ["FrankWolfe"]
