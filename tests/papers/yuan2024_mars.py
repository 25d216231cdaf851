"""MARS (Yuan et al. 2024, arXiv:2411.10438): a scaled difference of gradients reduces their noise."""

from __future__ import annotations

from typing import Any

import numpy as np

import steepest
from steepest import direction as D
from tests.oracle.equations import Moments, Path, Rates
from tests.oracle.problems import Linear, Problem, Quadratic, Vector, join
from tests.rows import HALF, HALF_TERMS, Hand, Row, Setting

CONTRACT = {
    "MARS": Setting(
        {"lr": 0.03, "weight_decay": 0.1}, loose={"lifts_agree": (2e-6, "eagerly the norm is a float32 sum")}
    ),
    "MARSExact": Setting({"lr": 0.03, "weight_decay": 0.1}, root=True),
    "MARSLion": Setting(
        {"lr": 0.01, "weight_decay": 0.1}, loose={"lifts_agree": (2e-6, "eagerly the norm is a float32 sum")}
    ),
}


def mars_lion(params: Any, **options: Any) -> steepest.Optimizer:
    """MARS around Lion."""
    return steepest.Optimizer(params, direction=D.Mars(D.Lion(beta1=0.95, beta2=0.99), gamma=0.1), **options)


def mars(f: Problem, x: Vector, etas: Rates, b1: float = 0.95, b2: float = 0.99, eps: float = 1e-8,
         gamma: float = 0.025, lam: float = 0.0, clip: bool = True, sign: bool = False) -> Path:  # fmt: skip
    d, m, old = Moments(b1, b2, eps), 0 * x, None
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t)
        c = g if old is None else g + gamma * b1 / (1 - b1) * (g - old)  # x_0 = x_1: no correction at the first step
        if clip:
            c = join([p / max(1.0, float(np.linalg.norm(p))) for p in f.parts(c)])
        if sign:  # any direction with a momentum: here Lion's
            step, m = np.sign(b1 * m + (1 - b1) * c), b2 * m + (1 - b2) * c
        else:
            step = d(c)
        x, old = x - eta * (step + lam * x), g
        yield x


def mars_exact(f: Problem, x: Vector, etas: Rates, b1: float = 0.95, b2: float = 0.99, eps: float = 1e-8,
               gamma: float = 0.025, lam: float = 0.0, clip: bool = True) -> Path:  # fmt: skip
    """Algorithm 1: both gradients are of mini-batch t, and x_0 = x_1."""
    d, before = Moments(b1, b2, eps), x
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t)
        c = g + gamma * b1 / (1 - b1) * (g - f.grad(before, t))
        if clip:
            c = join([p / max(1.0, float(np.linalg.norm(p))) for p in f.parts(c)])
        before, x = x, x - eta * (d(c) + lam * x)
        yield x


def mars_lion_path(
    f: Problem, x: Vector, etas: Rates, b1: float = 0.95, gamma: float = 0.025, lam: float = 0.0
) -> Path:
    """MARS-Lion: the sign of a momentum with one decay rate."""
    m, old = 0 * x, None
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t)
        c = g if old is None else g + gamma * b1 / (1 - b1) * (g - old)
        m = b1 * m + (1 - b1) * join([p / max(1.0, float(np.linalg.norm(p))) for p in f.parts(c)])
        x, old = x - eta * (np.sign(m) + lam * x), g
        yield x


ORACLE = [
    Row("MARSExact", mars_exact, {"gamma": 0.2, "weight_decay": 0.1}, {"gamma": 0.2, "lam": 0.1}, lr=0.03),
    Row("MARSExact", mars_exact, {"gamma": 1.0, "clip": False, "betas": (0.8, 0.9)},
        {"gamma": 1.0, "clip": False, "b1": 0.8, "b2": 0.9}, lr=0.03),
    Row("MARSLion", mars_lion_path, {"gamma": 0.2, "weight_decay": 0.1}, {"gamma": 0.2, "lam": 0.1}, lr=0.01),
    Row("MARS", mars, {"gamma": 0.2, "weight_decay": 0.1}, {"gamma": 0.2, "lam": 0.1}, lr=0.03),
    Row("MARS", mars, {"clip": False}, {"clip": False}, lr=0.03),
    Row(mars_lion, mars, {}, {"gamma": 0.1, "sign": True}, lr=0.01),
]  # fmt: skip
EDGES = [
    Row("MARSExact", mars_exact, {"eps": 0.1}, {"eps": 0.1}, on=Quadratic([1, 2, 3], [0.5, 3.0], [0.1])),  # one is clipped
    Row("MARS", mars, {"eps": 0.1}, {"eps": 0.1}, on=Quadratic([1, 2, 3], [0.5, 3.0], [0.1])),  # one is clipped
]  # fmt: skip
HANDS = [
    # f = x²/2 + 2y²: g₁ = (1, 2), d₁ = (1/2, 2/3), x₁ = (½, -1/6); g₂ = (½, -2/3), and c₂ = g₂ + (g₂ - g₁) for here the batch
    # is all there is: (0, -10/3); m̂₂ = (½ c₂ + ¼ g₁)/¾ = (1/3, -14/9), √v̂₂ = |c₂|: d₂ = (1/3, -14/39)
    Hand("MARS exact", steepest.MARSExact, {"betas": (0.5, 0.0), "eps": 1.0, "gamma": 1.0, "clip": False}, mars_exact,
         {"b1": 0.5, "b2": 0.0, "eps": 1.0, "gamma": 1.0, "clip": False}, Quadratic([1, 4], [1.0, 0.5]), [1.0, 0.3],
         [(0.5, -1 / 6), (0.4, -1 / 6 + 0.3 * 14 / 39)]),
    # c₁ = g₁/5 = (0.6, 0.8), d₁ = (0.6/1.6, 0.8/1.8); c₂ = g₂ + (g₂ - g₁) = (0.6, -0.8) of length 1;
    # m̂₂ = (0.6, -0.2/0.75), d₂ = (0.6/1.6, -(4/15)/1.8)
    Hand("MARS", steepest.MARS, {**HALF, "gamma": 1.0}, mars, {**HALF_TERMS, "gamma": 1.0},
         Linear([1, -1], [3, 4], [1.8, 1.6]), [0.9, 0.27], [(0.6625, -1.4), (0.56125, -1.36)]),
]  # fmt: skip


DIRECTIONS = {
    "MARS": lambda: D.Mars(D.Adam()),
    "MARS-Lion unclipped": lambda: D.Mars(D.Lion(), clip=False),
}
SCALE_FREE = {
    "MARS": lambda: D.Mars(D.Adam(eps=0.0), clip=False),
}
COLLAPSES = {
    "MARS with γ = 0 is its inner direction": (D.Mars(D.Adam(), gamma=0.0, clip=False), D.Adam()),
    "MARS with β₁ = 0 is its inner direction": (D.Mars(D.Adam(beta1=0.0), clip=False), D.Adam(beta1=0.0)),
    "MARS of a sign with γ = 0 does not feel the clip": (D.Mars(D.Lion(beta1=0.0), gamma=0.0), D.Sign()),
}
SAME = {
    "MARS without difference and clip": (
        lambda p: steepest.MARS(p, gamma=0.0, clip=False),
        lambda p: steepest.AdamW(p, lr=0.003, betas=(0.95, 0.99), weight_decay=0.0),
    ),
}
