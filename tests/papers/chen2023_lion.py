"""Lion (Chen et al. 2023, arXiv:2302.06675): the sign of a mix of momentum and gradient."""

from __future__ import annotations

import numpy as np

import steepest
from steepest import direction as D
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Linear, Problem, Vector
from tests.rows import Hand, Row, Setting

CONTRACT = {"Lion": Setting({"lr": 0.01, "weight_decay": 0.1})}


def lion(f: Problem, x: Vector, etas: Rates, b1: float = 0.9, b2: float = 0.99, lam: float = 0.0) -> Path:
    """Algorithm 2."""
    m = 0 * x
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t)
        x = x - eta * (np.sign(b1 * m + (1 - b1) * g) + lam * x)
        m = b2 * m + (1 - b2) * g
        yield x


ORACLE = [Row("Lion", lion, {"weight_decay": 0.1}, {"lam": 0.1}, lr=0.01)]
HANDS = [
    # c₁ = g₁/2; m₁ = g₁/4 = (0.5, -1); c₂ = m₁/2 + g₂/2 = (0.05, 0.5): both signs +, though g₂ has (-, +)
    Hand("Lion", steepest.Lion, {"betas": (0.5, 0.75), "weight_decay": 0.5}, lion, {"b1": 0.5, "b2": 0.75, "lam": 0.5},
         Linear([1, -1], [2, -4], [-0.4, 2]), [0.1, 0.2], [(0.85, -0.85), (0.565, -0.965)]),
]  # fmt: skip

DIRECTIONS = {"Lion": D.Lion}
SCALE_FREE = {"Lion": D.Lion}
COLLAPSES = {
    "Lion without memory is sign": (D.Lion(beta1=0.0, beta2=0.0), D.Sign()),
    "Lion with β₁ = 0 is sign, whatever it remembers": (D.Lion(beta1=0.0), D.Sign()),
}
