"""AdaMax (Kingma & Ba 2015, arXiv:1412.6980, section 7.1): Adam with the maximum norm."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from torch import Tensor

import steepest
from steepest import direction as D
from tests.laws.common import directions, few, streams
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Linear, Problem, Vector
from tests.rows import B, Hand, Pair, Row, Setting

CONTRACT = {"AdaMax": Setting({"lr": 0.03, "weight_decay": 0.1})}


def adamax(f: Problem, x: Vector, etas: Rates, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8,
           lam: float = 0.0) -> Path:  # fmt: skip
    """Algorithm 2, with torch's ε, which keeps 0 / 0 away."""
    m = u = 0 * x
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t) + lam * x
        m, u = b1 * m + (1 - b1) * g, np.maximum(b2 * u, np.abs(g) + eps)
        x = x - eta / (1 - b1**t) * m / u
        yield x


ORACLE = [
    Row("AdaMax", adamax, {"betas": (0.8, 0.9), "weight_decay": 0.1}, {**B, "lam": 0.1}, lr=0.03),
    Row("AdaMax", adamax, {"betas": (0.9, 0.6), "eps": 1e-3}, {"b1": 0.9, "b2": 0.6, "eps": 1e-3}, lr=0.03),
]
HANDS = [
    # m₁ = (2, -1), over 1 - ½; u₁ = |g₁|: d₁ = (1, -1); m₂ = (1 - 1, -½ - 1½), over ¾; u₂ = (max(3, 2), max(1½, 3)) = (3, 3)
    Hand("AdaMax", steepest.AdaMax, {"betas": (0.5, 0.75), "eps": 0.0}, adamax, {"b1": 0.5, "b2": 0.75, "eps": 0.0},
         Linear([1, -1], [4, -2], [-2, -3]), [0.1, 0.9], [(0.9, -0.9), (0.9, -0.1)]),
]  # fmt: skip
TORCH = [
    Pair(steepest.AdaMax, torch.optim.Adamax, {"lr": 0.03}),
    Pair(steepest.AdaMax, torch.optim.Adamax, {"lr": 0.03, "betas": (0.7, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    Pair(steepest.AdaMax, torch.optim.Adamax, {"lr": 0.03, "betas": (0.0, 0.9), "maximize": True}),
]

DIRECTIONS = {"AdaMax": D.AdaMax}
SCALE_FREE = {"AdaMax": lambda: D.AdaMax(eps=0.0)}
COLLAPSES = {"AdaMax without memory is sign": (D.AdaMax(beta1=0.0, beta2=0.0, eps=0.0), D.Sign())}


@few
@given(gs=streams(length=6))
def test_it_moves_by_little_more_than_one(gs: list[Tensor]) -> None:
    """|g_k| ≤ u β₂^(k - t), so |d| ≤ (1 - β₁)/(1 - β₁ᵗ) Σ (β₁/β₂)ᵏ over k < t."""
    for t, d in enumerate(directions(D.AdaMax(beta1=0.5, beta2=0.75, eps=0.0), gs), 1):
        assert (d.abs() <= 0.5 / (1 - 0.5**t) * sum((0.5 / 0.75) ** k for k in range(t)) + 1e-12).all()
