"""Averages of points (Shamir & Zhang 2013) around points that perturb or remember."""

from __future__ import annotations

import math
from typing import Any

import steepest
from steepest import point
from tests.oracle.equations import Path, Rates, dot
from tests.oracle.problems import Problem, Vector
from tests.rows import Row


def averaged_sam(params: Any, **options: Any) -> steepest.Optimizer:
    """The plain mean of SAM's points."""
    return steepest.Optimizer(params, point=point.Average(point.SAM(rho=0.3), gamma=0), **options)


def averaged_optimism(params: Any, **options: Any) -> steepest.Optimizer:
    """An average around a point that is a map."""
    return steepest.Optimizer(params, point=point.Average(point.Optimistic(), gamma=3), **options)


def averaged_sam_path(f: Problem, x: Vector, etas: Rates, rho: float) -> Path:
    """SAM, seen at the plain mean."""
    total = 0 * x
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t)
        norm = math.sqrt(dot(g, g))
        x = x - eta * f.grad(x + rho * g / norm if norm > 0 else x, t)
        total = total + x
        yield total / t


def averaged_optimism_path(f: Problem, x: Vector, etas: Rates) -> Path:
    """The optimistic gradient, seen at the average with γ = 3."""
    mean, old = 0 * x, 0 * x
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t)
        x, old = x - eta * (2 * g - old), g
        mean = mean + 4 / (t + 3) * (x - mean)
        yield mean


ORACLE = [
    Row(averaged_sam, averaged_sam_path, {}, {"rho": 0.3}, returned=True),
    Row(averaged_optimism, averaged_optimism_path, returned=True),
]  # fmt: skip
