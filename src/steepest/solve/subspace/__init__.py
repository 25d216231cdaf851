"""Searches along directions for networks in which a trial costs next to nothing."""

from steepest.solve.subspace.friendly import Friendly, is_so_friendly
from steepest.solve.subspace.search import SubspaceOptimizer
from steepest.solve.subspace.solver import Network, SubspaceSearch

__all__ = ["Friendly", "Network", "SubspaceOptimizer", "SubspaceSearch", "is_so_friendly"]
