"""OASIS (Jahani et al. 2022, arXiv:2109.05198): curvature's diagonal, and a step size found from it."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from tests.oracle.curved import COUPLED, TWICE, Coupled, Drawn, bekas, drawn
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Vector
from tests.rows import SUM, Row, Setting

CONTRACT = {"OASIS": Setting({"floor": 0.1, "first": 3, "eta0": 0.1}, whole=SUM, exceptions=TWICE)}


def oasis(f: Coupled, x: Vector, etas: Rates, z: Drawn, b2: float, alpha: float, eta0: float, n0: int) -> Path:
    """arXiv:2109.05198, Algorithm 1; a learning rate multiplies the step."""
    D = bekas(f, x, 1, z, n0)
    eta, theta, last, g_last = eta0, math.inf, x, f.grad(x, 1)
    for t, lr in enumerate(etas, 1):
        g = f.grad(x, t)
        if t > 1:
            D = b2 * D + (1 - b2) * bekas(f, x, t, z)
        B = np.maximum(np.abs(D), alpha)
        if t > 1:
            near = np.sqrt(((x - last) ** 2 * B).sum()) / (2 * np.sqrt(((g - g_last) ** 2 / B).sum()))
            new = min(math.sqrt(1 + theta) * eta, near)
            eta, theta = new, new / eta
        last, g_last = x, g
        x = x - lr * eta * g / B
        yield x


ORACLE = [
    Row("OASIS", oasis, {"decay": 0.8, "floor": 0.3, "first": 3, "eta0": 0.05},
        {"b2": 0.8, "alpha": 0.3, "eta0": 0.05, "n0": 3, "z": partial(drawn, 0)}, lr=None, on=COUPLED),
    Row("OASIS", oasis, {"decay": 0.9, "floor": 0.2, "first": 1, "eta0": 0.2, "seed": 4},
        {"b2": 0.9, "alpha": 0.2, "eta0": 0.2, "n0": 1, "z": partial(drawn, 4)}, lr=0.5, on=COUPLED),
]  # fmt: skip
