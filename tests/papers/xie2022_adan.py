"""Adan (Xie et al. 2022, arXiv:2208.06677): adaptive Nesterov momentum."""

from __future__ import annotations

import numpy as np
import torch

import steepest
from steepest import direction as D
from steepest import geometry
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Linear, Problem, Vector
from tests.rows import Hand, Row, Setting

CONTRACT = {"Adan": Setting({"lr": 0.02, "weight_decay": 0.1}, root=True)}


def adan(f: Problem, x: Vector, etas: Rates, b1: float = 0.02, b2: float = 0.08, b3: float = 0.01, eps: float = 1e-8,
         lam: float = 0.0) -> Path:  # fmt: skip
    """Algorithm 1, in which b is one minus ours, with the authors' bias corrections."""
    m = v = n = 0 * x
    last = None
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t)
        last = g if last is None else last
        m = (1 - b1) * m + b1 * g
        v = (1 - b2) * v + b2 * (g - last)
        n = (1 - b3) * n + b3 * (g + (1 - b2) * (g - last)) ** 2
        root = np.sqrt(n / (1 - (1 - b3) ** t)) + eps
        x = x - eta / root * (m / (1 - (1 - b1) ** t) + (1 - b2) * v / (1 - (1 - b2) ** t))
        x = x / (1 + lam * eta)
        last = g
        yield x


ORACLE = [
    Row("Adan", adan, {"betas": (0.8, 0.7, 0.9), "weight_decay": 0.1}, {"b1": 0.2, "b2": 0.3, "b3": 0.1, "lam": 0.1}, lr=0.03),
    Row("Adan", adan, {"eps": 1e-3}, {"eps": 1e-3}, lr=0.03),
]  # fmt: skip
HANDS = [
    # β = ½: m̂₁ = g₁, v₁ = 0, n̂₁ = g₁²: d₁ = sign; g₂ - g₁ = (-2, 4), g₂ + ½ that = (1, 4): m₂ = 1 + 1, -½ + 1 over ¾;
    # v₂ = (-1, 2) over ¾, half of it; n₂ = (4 + ½, 1 + 8) over ¾: d₂ = (2 - ½, ½ + 1)/¾ over √6, √12
    Hand("Adan", steepest.Adan, {"betas": (0.5, 0.5, 0.5), "eps": 0.0}, adan, {"b1": 0.5, "b2": 0.5, "b3": 0.5, "eps": 0.0},
         Linear([1, -1], [4, -2], [2, 2]), [0.1, 0.1], [(0.9, -0.9), (0.9 - 0.2 / np.sqrt(6), -0.9 - 0.2 / np.sqrt(12))]),
]  # fmt: skip

DIRECTIONS = {"Adan": lambda: D.Adan(beta1=0.0, beta2=0.0, beta3=0.9)}
SCALE_FREE = {"Adan": lambda: D.Adan(eps=0.0)}
COLLAPSES = {
    "Adan that does not look ahead is Adam": (D.Adan(beta1=0.7, beta2=0.0, beta3=0.9), D.Adam(beta1=0.7, beta2=0.9))
}
GEOMETRIES = {"prox of a squared norm": geometry.L2(weight_decay=0.5)}


def test_the_decay_is_a_prox() -> None:
    """x⁺ minimizes |y - (x - u)|²/(2η) + λ|y|²/2, and at any ηλ it does not change the sign."""
    x, u, eta, lam = torch.tensor([3.0, -1.0]), torch.tensor([0.5, 0.25]), torch.tensor(2.0), 4.0
    y = geometry.L2(weight_decay=lam)(x, u, eta, steepest.core.part.Scalars(weight_decay=lam))
    assert torch.allclose((y - (x - u)) / eta + lam * y, torch.zeros(2), atol=1e-6)
