"""Solvers for f + h, with gradients of f and the proximal map of h; h may be a convex set."""

from steepest.solve.composite.damped import DampedAcceleration, mcp, scad
from steepest.solve.composite.proximal import FISTA, ProximalGradient

__all__ = ["FISTA", "DampedAcceleration", "ProximalGradient", "mcp", "scad"]
