"""Proximal gradient for the L1 norm (Tibshirani 1996): soft thresholding."""

from __future__ import annotations

import numpy as np

import steepest
from steepest import geometry
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Linear, Problem, Vector
from tests.rows import Hand, Row, Setting

CONTRACT = {
    "ProxSGD": Setting({"lr": 0.1, "l1": 0.01}),
}


def prox_sgd(f: Problem, x: Vector, etas: Rates, lam: float) -> Path:
    for t, eta in enumerate(etas, 1):
        z = x - eta * f.grad(x, t)
        x = np.where(z > eta * lam, z - eta * lam, np.where(z < -eta * lam, z + eta * lam, 0.0))
        yield x


ORACLE = [
    Row("ProxSGD", prox_sgd, {"l1": 0.3}, {"lam": 0.3}),
]  # fmt: skip
HANDS = [
    # z₁ = (0.7, -0.1, 0.6), threshold 0.1·2; z₂ = (0.3, 0.6, 0.2), threshold 0.4
    Hand("prox", steepest.ProxSGD, {"l1": 2.0}, prox_sgd, {"lam": 2.0},
         Linear([1, -0.1, 0.5], [3, 0, -1], [1, -3, 1]), [0.1, 0.2], [(0.5, 0, 0.4), (0, 0.2, 0)]),
]  # fmt: skip


SAME = {
    "no penalty": (lambda p: steepest.ProxSGD(p, l1=0.0), lambda p: steepest.SGD(p, lr=0.01)),
}
GEOMETRIES = {
    "L1": geometry.L1(l1=0.5),
}
