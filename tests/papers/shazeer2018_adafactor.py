"""Adafactor (Shazeer & Stern 2018, arXiv:1804.04235): second moments of rows and columns."""

from __future__ import annotations

import itertools

import numpy as np

from tests.oracle.equations import Path, Rates
from tests.oracle.problems import SHAPES, Problem, Vector, join
from tests.rows import Row, Setting

CONTRACT = {
    "Adafactor": Setting(
        {"lr": 0.1, "eps1": 1e-3, "eps2": 0.5, "weight_decay": 0.1},
        shaped="a number of state belongs to a row or column",
        loose={"strides_change_nothing": (1e-6, "means are sums in the order of memory")},
    )
}


def rms(x: Vector) -> float:
    return float(np.sqrt(np.mean(x**2)))


def factored(V: Vector) -> Vector:
    """The matrix with the sums over rows and columns that V has (arXiv:1804.04235, section 3)."""
    R, C = V.sum(1), V.sum(0)
    return np.outer(R, C) / R.sum()


def adafactor(f: Problem, x: Vector, etas: Rates, e1: float = 1e-30, e2: float = 1e-3, d: float = 1.0,
              decay: float = 0.8, lam: float = 0.0) -> Path:  # fmt: skip
    """Algorithms 4 and 5: sums over rows and columns are those of the whole average, which is linear."""
    V = [np.zeros(X.shape) for X in f.parts(x)]
    for t, eta in enumerate(etas, 1):
        b2, rho, new = 1 - t**-decay, min(eta, 1 / np.sqrt(t)), []
        for k, (X, G) in enumerate(zip(f.parts(x), f.parts(f.grad(x, t)), strict=True)):
            V[k] = b2 * V[k] + (1 - b2) * (G**2 + e1)
            Vh = V[k].copy()
            if X.ndim > 1:  # each matrix of a longer tensor
                for i in itertools.product(*map(range, X.shape[:-2])):
                    Vh[i] = factored(V[k][i])
            U = G / np.sqrt(Vh)
            Uh = U / max(1, rms(U) / d)
            new.append((1 - eta * lam) * X - max(e2, rms(X)) * rho * Uh)
        x = join(new)
        yield x


ORACLE = [
    Row("Adafactor", adafactor, {"weight_decay": 0.1}, {"lam": 0.1}, lr=0.3),
    Row("Adafactor", adafactor, {"eps1": 0.01, "eps2": 0.5, "clip": 0.7, "decay": 0.5},
        {"e1": 0.01, "e2": 0.5, "d": 0.7, "decay": 0.5}, lr=0.1),
]  # fmt: skip
EDGES = [Row("Adafactor", adafactor, on=SHAPES)]
