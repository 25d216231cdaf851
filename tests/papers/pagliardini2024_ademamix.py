"""AdEMAMix (Pagliardini, Ablin & Grangier 2024, arXiv:2409.03137): two averages of gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest

import steepest
from steepest import direction as D
from steepest.core.part import Scalars
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Linear, Problem, Vector
from tests.rows import Hand, Row, Setting

CONTRACT = {"AdEMAMix": Setting({"lr": 0.01, "betas": (0.9, 0.999, 0.99), "alpha": 2.0, "warmup": 30, "weight_decay": 0.1},
                                root=True)}  # fmt: skip


def ademamix(f: Problem, x: Vector, etas: Rates, b1: float = 0.9, b2: float = 0.999, b3: float = 0.9999, a: float = 5.0,
             eps: float = 1e-8, lam: float = 0.0, T: int = 0) -> Path:  # fmt: skip
    """Algorithm 1."""
    m1 = m2 = v = 0 * x
    for t, eta in enumerate(etas, 1):
        g, alpha, beta = f.grad(x, t), a, b3
        if T:
            alpha = min(t * a / T, a)
            below = (1 - t / T) * math.log(b3) + t / T * math.log(b1)
            beta = min(math.exp(math.log(b1) * math.log(b3) / below), b3) if t < T else b3
        m1, m2, v = b1 * m1 + (1 - b1) * g, beta * m2 + (1 - beta) * g, b2 * v + (1 - b2) * g**2
        d = (m1 / (1 - b1**t) + alpha * m2) / (np.sqrt(v / (1 - b2**t)) + eps)
        x = x - eta * (d + lam * x)
        yield x


ORACLE = [
    Row("AdEMAMix", ademamix, {"betas": (0.8, 0.9, 0.95), "alpha": 3.0, "warmup": 9, "weight_decay": 0.1},
        {"b1": 0.8, "b2": 0.9, "b3": 0.95, "a": 3.0, "T": 9, "lam": 0.1}, lr=0.03),
    Row("AdEMAMix", ademamix, {"eps": 1e-3, "weight_decay": 0.1}, {"eps": 1e-3, "lam": 0.1}, lr=0.03),
]  # fmt: skip
HANDS = [
    # m̂₁ = g₁, m₂ = g₁/4, v̂ = g₁²: d₁ = 1 + 2/4 signs; g₂ = -g₁: m₁ = -g₁/4 over ¾, m₂ = -g₁/16, v̂ as before: -⅓ - ⅛ signs
    Hand("AdEMAMix", steepest.AdEMAMix, {"betas": (0.5, 0.5, 0.75), "alpha": 2.0, "eps": 0.0}, ademamix,
         {"b1": 0.5, "b2": 0.5, "b3": 0.75, "a": 2.0, "eps": 0.0}, Linear([1, -1], [4, -2], [-4, 2]), [0.1, 0.24],
         [(0.85, -0.85), (0.96, -0.96)]),
]  # fmt: skip

DIRECTIONS = {"AdEMAMix": D.AdEMAMix}
COLLAPSES = {
    "AdEMAMix without its slow average is Adam": (
        D.AdEMAMix(beta1=0.7, beta2=0.9, alpha=0.0),
        D.Adam(beta1=0.7, beta2=0.9),
    )
}


def test_the_half_life_of_the_slow_average_rises_in_proportion_to_the_step() -> None:
    """From that of β₁ to that of β₃: ln ½ / ln β is linear in t."""
    part = D.AdEMAMix(beta1=0.9, beta3=0.999, warmup=100)
    h = Scalars(beta1=0.9, beta2=0.999, beta3=0.999, alpha=5.0)
    lives = [1 / math.log(part.scalars(t, h)["late"]) for t in (25, 50, 75, 100, 200)]
    first, last = 1 / math.log(0.9), 1 / math.log(0.999)
    assert lives == pytest.approx([first + min(q, 1) * (last - first) for q in (0.25, 0.5, 0.75, 1, 2)], rel=1e-9)
    assert [part.scalars(t, h)["mix"] for t in (1, 50, 200)] == pytest.approx([0.05, 2.5, 5.0])


def test_without_a_fast_average_the_warmup_is_finite() -> None:
    """β₁ = 0 has a half-life of 0: then β₃' = β₃^(T/t)."""
    late = D.AdEMAMix(warmup=4).scalars(1, Scalars(beta1=0.0, beta2=0.999, beta3=0.9, alpha=1.0))["late"]
    assert late == pytest.approx(0.9**4)
