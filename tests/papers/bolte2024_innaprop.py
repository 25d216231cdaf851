"""INNAprop (Bolte et al. 2024, arXiv:2410.10609): an inertial system with RMSprop's scaling."""

from __future__ import annotations

import numpy as np

from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Problem, Vector
from tests.rows import Row, Setting

CONTRACT = {"INNAprop": Setting({"lr": 0.03, "weight_decay": 0.1}, root=True)}


def innaprop(
    f: Problem, x: Vector, etas: Rates, alpha: float, beta: float, sigma: float, eps: float, lam: float
) -> Path:
    """arXiv:2410.10609, Algorithm 1, with ψ itself."""
    psi, v = (1 - alpha * beta) * x, np.zeros_like(x)
    for t, lr in enumerate(etas, 1):
        g = f.grad(x, t)
        v = sigma * v + (1 - sigma) * g * g
        x = (1 - lr * lam) * x
        psi = (1 - lr / beta) * psi + lr * (1 / beta - alpha) * x
        scaled = g / (np.sqrt(v / (1 - sigma**t)) + eps)
        x = (1 + lr * (1 - alpha * beta) / (beta - lr)) * x - lr / (beta - lr) * psi - lr * beta * scaled
        yield x


ORACLE = [
    Row("INNAprop", innaprop, {"decay": 0.9, "eps": 1e-3, "weight_decay": 0.1},
        {"alpha": 0.1, "beta": 0.9, "sigma": 0.9, "eps": 1e-3, "lam": 0.1}),
    Row("INNAprop", innaprop, {"alpha": 2.0, "damping": 2.0, "decay": 0.8, "weight_decay": 0.3},
        {"alpha": 2.0, "beta": 2.0, "sigma": 0.8, "eps": 1e-8, "lam": 0.3}, lr=0.05),
    Row("INNAprop", innaprop, {"alpha": 1.0, "damping": 1.0, "weight_decay": 0.3},
        {"alpha": 1.0, "beta": 1.0, "sigma": 0.999, "eps": 1e-8, "lam": 0.3}, lr=0.05),
]  # fmt: skip
