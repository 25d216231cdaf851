"""Solvers over a convex set that is known by linear minimization or by scaling; those that project are in ``composite``."""

from steepest.solve.constrained.frank_wolfe import FrankWolfe
from steepest.solve.constrained.mirror_sinkhorn import MirrorSinkhorn, rounded

__all__ = ["FrankWolfe", "MirrorSinkhorn", "rounded"]
