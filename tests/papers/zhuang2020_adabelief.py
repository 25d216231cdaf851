"""AdaBelief (Zhuang et al. 2020, arXiv:2010.07468): the variance around the momentum."""

from __future__ import annotations

from math import sqrt

import numpy as np

import steepest
from steepest import direction as D
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Linear, Problem, Vector
from tests.rows import MOST, MOST_TERMS, B, Hand, Row, Setting

CONTRACT = {
    "AdaBelief": Setting({"lr": 0.03, "weight_decay": 0.1}, root=True),
}


def adabelief(f: Problem, x: Vector, etas: Rates, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8,
              lam: float = 0.0) -> Path:  # fmt: skip
    m = s = 0 * x
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t)
        m = b1 * m + (1 - b1) * g
        s = b2 * s + (1 - b2) * (g - m) ** 2 + eps
        x = x - eta * (m / (1 - b1**t) / (np.sqrt(s / (1 - b2**t)) + eps) + lam * x)
        yield x


ORACLE = [
    Row("AdaBelief", adabelief, {"betas": (0.8, 0.9), "eps": 1e-4, "weight_decay": 0.1},
        {**B, "eps": 1e-4, "lam": 0.1}, lr=0.01),
]  # fmt: skip
HANDS = [
    # s₁ = (g/2)²/4 + 1, ŝ₁ = (g/2)² + 4 = 2.5², 4.25²: d₁ = (3/3.5, -7.5/5.25); then g₂ = m₂, so
    # s₂ = ¾ s₁ + 1 = (139/64, 1123/256), over 7/16; m̂₂ = m₂/(3/4) = (2, -5)
    Hand("AdaBelief", steepest.AdaBelief, MOST, adabelief, MOST_TERMS, Linear([1, -1], [3, -7.5], [1.5, -3.75]),
         [0.7, 0.7], [(0.4, 0), (0.4 - 1.4 / (sqrt(139 / 28) + 1), 3.5 / (sqrt(1123 / 112) + 1))]),
]  # fmt: skip


DIRECTIONS = {
    "AdaBelief": D.AdaBelief,
}
SCALE_FREE = {
    "AdaBelief": lambda: D.AdaBelief(eps=0.0),
}
