"""AdaGrad's equations (Duchi, Hazan & Singer 2011, diagonal form) in numpy; the letters are the paper's."""

from __future__ import annotations

import numpy as np

from tests.oracle.papers import Path, Rates
from tests.oracle.problems import Problem, Vector


def adagrad(f: Problem, x: Vector, etas: Rates, delta: float = 1e-10, kappa: float = 0.0, start: float = 0.0,
            lam: float = 0.0) -> Path:  # fmt: skip
    squares = []
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t) + lam * x
        squares.append(g**2)
        H = delta + np.sqrt(start + np.sum(squares, axis=0))
        x = x - eta / (1 + kappa * (t - 1)) * g / H
        yield x
