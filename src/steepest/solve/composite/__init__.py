"""Solvers for f + h, with gradients of f and the proximal map of h; h may be a convex set."""

from steepest.solve.composite.proximal import FISTA, ProximalGradient

__all__ = ["FISTA", "ProximalGradient"]
