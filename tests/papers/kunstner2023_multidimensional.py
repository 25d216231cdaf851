"""Backtracking for a step size per coordinate (Kunstner et al. 2023, arXiv:2306.02527)."""

from __future__ import annotations

import math

import numpy as np

from tests.oracle.equations import Path, Rates, dot
from tests.oracle.problems import Problem, Quadratic, Vector
from tests.rows import LOSS, SUMMED, Row, Setting

CUT = "the set of step sizes is cut for ever: the paper has one loss, the same in each step"

CONTRACT = {
    "BoxBacktracking": Setting(
        {"c0": 100.0},
        whole=LOSS,
        searches=True,
        loose={"strides_change_nothing": SUMMED},
        unguarded={"exploding-0": CUT, "exploding-5": CUT},
    ),
    "EllipsoidBacktracking": Setting(
        {"c0": 100.0},
        whole=LOSS,
        searches=True,
        loose={"strides_change_nothing": SUMMED},
        unguarded={"exploding-0": CUT, "exploding-5": CUT},
    ),
}


def multidimensional(f: Problem, x: Vector, etas: Rates, ellipsoid: bool = False, c0: float = 1e10) -> Path:
    """arXiv:2306.02527: sets {0 ≤ p ≤ 1/a} and {Σ a p² ≤ 1}; a learning rate multiplies the candidate.

    Ours: halves the set where there is no plane; after a hundred trials the step ends where it began.
    """
    d = x.size
    a = np.full(d, 1 / (d * c0**2) if ellipsoid else 1 / c0)
    for t, lr in enumerate(etas, 1):
        g, here = f.grad(x, t), f.loss(x, t)
        for _ in range(100 if g.any() else 0):
            if ellipsoid:
                p = lr / math.sqrt(2 * d) * (g**2 / a) / math.sqrt(np.sum(g**4 / a))
            else:
                p = lr / (2 * d) / a
            y = x - p * g
            h = f.loss(y, t) - here + dot(p * g, g) / 2
            if h <= 0:
                x = y
                break
            dh = g**2 / 2 - f.grad(y, t) * g
            if dot(dh, p) > h:
                u = np.maximum(dh / (dot(dh, p) - h), 0)
                ell = float(np.sum(u**2 / a))
                if ellipsoid and ell > d:
                    lam = ell / d * (d - 1) / (ell - 1)
                    a = lam * a + (1 - lam) * u**2
                    continue
                if not ellipsoid and np.sum(u / a) > d:
                    a = np.maximum(a, u)
                    continue
            a = a * (4 if ellipsoid else 2)
        yield x


VALLEY = Quadratic([1.0, 100.0, 3.0, 0.01], [1.0, 2.0], [-0.5, 3.0])
ORACLE = [
    Row("BoxBacktracking", multidimensional, {"c0": 1e3}, {"c0": 1e3}, lr=None),
    Row("BoxBacktracking", multidimensional, {"c0": 30.0}, {"c0": 30.0}, lr=0.5),
    Row("EllipsoidBacktracking", multidimensional, {"c0": 1e3}, {"c0": 1e3, "ellipsoid": True}, lr=None),
    Row("EllipsoidBacktracking", multidimensional, {"c0": 30.0}, {"c0": 30.0, "ellipsoid": True}, lr=0.8),
]  # fmt: skip
EDGES = [
    Row("BoxBacktracking", multidimensional, {"c0": 10.0}, {"c0": 10.0}, lr=None, on=VALLEY),
    Row("EllipsoidBacktracking", multidimensional, {"c0": 10.0}, {"c0": 10.0, "ellipsoid": True}, lr=None, on=VALLEY),
    Row("EllipsoidBacktracking", multidimensional, {}, {"ellipsoid": True}, lr=None, on=Quadratic([7.0], [2.0])),
]  # fmt: skip
