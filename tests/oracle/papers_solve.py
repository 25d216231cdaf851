"""Equations of methods that search for more than one step size, in numpy and nothing else.

The form is that of ``papers``: generators that yield x after each step.
"""

from __future__ import annotations

import math

import numpy as np

from tests.oracle.equations import Path, Rates, dot
from tests.oracle.problems import Problem, Separable, Vector


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


def sania_hutchinson(f: Separable, x: Vector, etas: Rates, beta: float = 0.999, alpha: float = 0.1) -> Path:
    """arXiv:2312.17369 with B = max(|D|, α); z ⊙ Hz is the diagonal itself where H is diagonal, whatever the signs."""
    D = f.curvature(x)
    for t, lr in enumerate(etas, 1):
        D = beta * D + (1 - beta) * f.curvature(x) if t > 1 else D
        g, B = f.grad(x, t), np.maximum(np.abs(D), alpha)
        slope = dot(g, g / B)
        nu = 2 * f.loss(x, t) / slope if slope else 0.0
        x = x - lr * (1 - math.sqrt(1 - nu) if nu <= 1 else 1.0) * g / B
        yield x
