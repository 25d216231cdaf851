"""LARS (You, Gitman & Ginsburg 2017, arXiv:1708.03888) and LAMB (You et al. 2020, arXiv:1904.00962): trust ratios."""

from __future__ import annotations

import math
from math import sqrt

import numpy as np

import steepest
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Linear, Problem, Vector, join
from tests.rows import PIECES, B, Hand, Row, Setting

CONTRACT = {
    "LAMB": Setting(
        {"lr": 0.02, "weight_decay": 0.1, "low": 1.0, "high": 1.5}, root=True, loose={"lifts_agree": PIECES}
    ),
    "LARS": Setting({"lr": 1.0, "coefficient": 0.01, "weight_decay": 0.1}, loose={"lifts_agree": PIECES}),
}


def lamb(f: Problem, x: Vector, etas: Rates, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-6, lam: float = 0.0,
         low: float = 0.0, high: float = math.inf) -> Path:  # fmt: skip
    """arXiv:1904.00962, Algorithm 2, tensor by tensor."""
    m = v = 0 * x
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t)
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        r = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps) + lam * x
        new = []
        for X, R in zip(f.parts(x), f.parts(r), strict=True):
            phi, size = min(max(float(np.linalg.norm(X)), low), high), float(np.linalg.norm(R))
            new.append(X - eta * (phi / size if phi * size else 1.0) * R)
        x = join(new)
        yield x


def lars(f: Problem, x: Vector, etas: Rates, mu: float = 0.9, beta: float = 0.0, c: float = 1e-3) -> Path:
    """arXiv:1708.03888, Algorithm 1, tensor by tensor."""
    m = [0 * X for X in f.parts(x)]
    for t, gamma in enumerate(etas, 1):
        new = []
        for i, (X, G) in enumerate(zip(f.parts(x), f.parts(f.grad(x, t)), strict=True)):
            size, slope = float(np.linalg.norm(X)), float(np.linalg.norm(G))
            rate = c * size / (slope + beta * size) if size * slope else 1.0
            m[i] = mu * m[i] + gamma * rate * (G + beta * X)
            new.append(X - m[i])
        x = join(new)
        yield x


ORACLE = [
    Row("LAMB", lamb, {"betas": (0.8, 0.9), "weight_decay": 0.1}, {**B, "lam": 0.1}, lr=0.03),
    Row("LAMB", lamb, {"low": 1.0, "high": 1.5, "eps": 1e-3}, {"low": 1.0, "high": 1.5, "eps": 1e-3}, lr=0.03),
    Row("LARS", lars, {"coefficient": 0.02, "weight_decay": 0.1, "momentum": 0.8}, {"c": 0.02, "beta": 0.1, "mu": 0.8}, lr=1.0),
]  # fmt: skip
EDGES = [
    Row("LAMB", lamb, on=Linear([0.0, 0.0], [3.0, 4.0]), lr=0.1),  # a tensor of zeros
    Row("LARS", lars, {"momentum": 0.0}, {"mu": 0.0}, on=Linear([0.0, 0.0], [3.0, 4.0]), lr=0.1),
]
HANDS = [
    # |x| = 5, r = sign g = (1, -1): 5/√2 of it, a tenth
    Hand("LAMB", steepest.LAMB, {"eps": 0.0}, lamb, {"eps": 0.0}, Linear([3, 4], [2, -7]), [0.1],
         [(3 - 0.5 / sqrt(2), 4 + 0.5 / sqrt(2))]),
    # c|x|/(|g| + β|x|) = ½ 5/(5 + 5): m₁ = ¼ (4 + 3, -3 + 4); x₁ = (1.25, 3.75)
    Hand("LARS", steepest.LARS, {"coefficient": 0.5, "weight_decay": 1.0, "momentum": 0.5}, lars,
         {"c": 0.5, "beta": 1.0, "mu": 0.5}, Linear([3, 4], [4, -3]), [1.0], [(1.25, 3.75)]),
]  # fmt: skip
