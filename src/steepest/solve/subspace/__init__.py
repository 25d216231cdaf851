"""Searches along directions for networks in which a trial costs next to nothing."""

from steepest.solve.subspace.friendly import Friendly, is_so_friendly
from steepest.solve.subspace.search import SubspaceOptimizer

__all__ = ["Friendly", "SubspaceOptimizer", "is_so_friendly"]
