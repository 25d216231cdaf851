"""Projected gradient: onto a box, and row by row onto the simplex (Duchi et al. 2008)."""

from __future__ import annotations

import math

import numpy as np

import steepest
from steepest import geometry
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Linear, Problem, Quadratic, Vector, join
from tests.rows import Hand, Row, Setting

WHATEVER = "the projection is done whatever lr is"
SIDE = "infinity is projected to the side of the box, so there is nothing to guard"

CONTRACT = {
    "ProjectedSGD": Setting(
        {"lr": 0.1, "lower": -0.5, "upper": 0.5},
        exceptions={
            "lr_zero_is_no_move": WHATEVER,
            "guard_lets_nothing_in-gradient-inf-1": SIDE,
        },
    ),
    "SimplexSGD": Setting(
        {"lr": 0.1},
        shaped="rows are on the simplex",
        exceptions={
            "lr_zero_is_no_move": WHATEVER,
            "guard_lets_nothing_in-gradient-inf-1": "minus infinity is projected to 0, so there is nothing to guard",
        },
    ),
}


def box_sgd(f: Problem, x: Vector, etas: Rates, low: float, high: float) -> Path:
    for t, eta in enumerate(etas, 1):
        x = np.minimum(np.maximum(x - eta * f.grad(x, t), low), high)
        yield x


def nearest_on_simplex(z: Vector) -> Vector:
    """min ‖p - z‖ with p ≥ 0, Σp = 1: p = max(z - θ, 0), with θ found by bisection on Σp = 1."""
    low, high = float(z.min()) - 1.0, float(z.max())
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if np.maximum(z - middle, 0).sum() > 1 else (low, middle)
    return np.asarray(np.maximum(z - high, 0))


def simplex_sgd(f: Problem, x: Vector, etas: Rates) -> Path:
    for t, eta in enumerate(etas, 1):
        z = f.parts(x - eta * f.grad(x, t))
        x = join([np.ones(1) if p.ndim == 0 else [nearest_on_simplex(row) for row in p.reshape(-1, p.shape[-1])]
                  for p in z])  # fmt: skip
        yield x


SHAPES = Quadratic(range(1, 11), [0.7], [[0.1, 0.9], [-0.2, 0.3]], [[[0.4], [0.2]], [[3.0], [1.0]]], np.array(0.1))
ORACLE = [
    Row("ProjectedSGD", box_sgd, {"lower": -0.6, "upper": 0.9}, {"low": -0.6, "high": 0.9}),
    Row("SimplexSGD", simplex_sgd, lr=1.0),
]  # fmt: skip
EDGES = [
    Row("SimplexSGD", simplex_sgd, on=SHAPES),
]  # fmt: skip
HANDS = [
    # z₁ = (0.6, -0.9), z₂ = (0.3, -1.1), clipped to [-1, 0.5]
    Hand("box", steepest.ProjectedSGD, {"lower": -1.0, "upper": 0.5}, box_sgd, {"low": -1.0, "high": 0.5},
         Linear([0.2, -0.8], [-4, 1], [1, 1]), [0.1, 0.2], [(0.5, -0.9), (0.3, -1.0)]),
    # z₁ = (0.7, 0.4, -0.1): θ = (0.7 + 0.4 - 1)/2 = 0.05; z₂ = (1.65, 0.35, 0): θ = 0.65
    Hand("simplex", steepest.SimplexSGD, {}, simplex_sgd, {},
         Linear([0.5, 0.5, 0], [-2, 1, 1], [-5, 0, 0]), [0.1, 0.2], [(0.65, 0.35, 0), (1, 0, 0)]),
]  # fmt: skip


SAME = {
    "a box without walls": (
        lambda p: steepest.ProjectedSGD(p, lower=-math.inf, upper=math.inf),
        lambda p: steepest.SGD(p, lr=0.01),
    ),
}
GEOMETRIES = {
    "box": geometry.Box(-2.0, 3.0),
    "half line": geometry.Box(0.0, float("inf")),
    "simplex": geometry.Simplex(),
}
