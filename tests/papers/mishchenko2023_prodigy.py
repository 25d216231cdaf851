"""Prodigy (Mishchenko & Defazio 2023, arXiv:2306.06101): D-Adaptation with weights d²."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import steepest
from tests.oracle.equations import Path, Rates, dot
from tests.oracle.problems import Linear, Problem, Vector, follow
from tests.rows import NEVER_FALLS, SUM, B, Hand, Row, Setting

CONTRACT = {
    "Prodigy": Setting(
        {"lr": 0.3, "d0": 1e-2, "weight_decay": 0.1},
        whole=SUM,
        root=True,
        unguarded={"exploding-0": NEVER_FALLS},
    ),
}


def prodigy(f: Problem, x: Vector, etas: Rates, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, d: float = 1e-6,
            c: float = 1.0, most: float = math.inf, lam: float = 0.0) -> Path:  # fmt: skip
    """Algorithm 4."""
    x0, m, v, s, r, q = x, 0 * x, 0 * x, 0 * x, 0.0, math.sqrt(b2)
    for t, gamma in enumerate(etas, 1):
        g = f.grad(x, t)
        m, v = b1 * m + (1 - b1) * d * g, b2 * v + (1 - b2) * d**2 * g**2
        r = q * r + (1 - q) * gamma * d**2 * dot(g, x0 - x)
        s = q * s + (1 - q) * gamma * d**2 * g
        A = np.sqrt(v) + d * eps
        x = x - gamma * d * lam * x - gamma * d * np.divide(m, A, out=np.zeros_like(m), where=A > 0)
        size = float(np.abs(s).sum())
        if size > 0:
            d = max(d, min(c * r / size, most * d))
        yield x


ORACLE = [
    Row("Prodigy", prodigy, {"betas": (0.8, 0.9), "d0": 1e-2, "weight_decay": 0.1}, {**B, "d": 1e-2, "lam": 0.1}, lr=1.0),
    Row("Prodigy", prodigy, {"d0": 1e-2, "eps": 0.1, "coefficient": 2.0, "growth_rate": 1.1},
        {"d": 1e-2, "eps": 0.1, "c": 2.0, "most": 1.1}, lr=1.0),
]  # fmt: skip
HANDS = [
    # β = (½, ¼), d₀ = ½, ε = 0: m₁ = g/4, √v₁ = √3/4 |g|: x₁ = x - ½/√3 sign; s = ⅛ g, r = 0.  g₂ = g₁: m₂ = ⅜ g, v₂ = 15/64 g²
    Hand("Prodigy", steepest.Prodigy, {"betas": (0.5, 0.25), "d0": 0.5, "eps": 0.0}, prodigy,
         {"b1": 0.5, "b2": 0.25, "d": 0.5, "eps": 0.0}, Linear([1, -1], [4, -2]), [1.0, 1.0],
         [(1 - 0.5 / math.sqrt(3), -1 + 0.5 / math.sqrt(3)),
          (1 - 0.5 / math.sqrt(3) - 1.5 / math.sqrt(15), -1 + 0.5 / math.sqrt(3) + 1.5 / math.sqrt(15))]),
]  # fmt: skip


def test_the_estimate_by_hand() -> None:
    """One coordinate, constant gradient 3, d₀ = ½, no decay of r and s but q = ½: r = 0, then ½·¼·3·(x₀ - x₁)/1 over ‖s‖."""
    hyper = {"betas": (0.0, 0.25), "d0": 0.5, "eps": 0.0}
    trail = follow(steepest.Prodigy, Linear([1.0], [3.0]), [1.0, 1.0], lift="eager", **hyper)
    walked = 0.5 * math.sqrt(4 / 3)  # d₀ g d₀ / (√¾ d₀ g)
    r, s = 0.5 * 0.25 * 3 * walked, 0.5 * 0.375 + 0.375
    group = trail.opt.param_groups[0]
    assert group["numerator"] == pytest.approx(r, rel=1e-14)
    assert group["distance"] == pytest.approx(max(0.5, r / s), rel=1e-14)


def test_the_estimate_finds_the_distance() -> None:
    """On |x - 5|₁ from 0 it grows by orders of magnitude, to the distance's own, and stays near."""
    x = torch.zeros(10, dtype=torch.float64, requires_grad=True)
    opt = steepest.Prodigy([x])
    for _ in range(400):
        opt.step(lambda: (x - 5).abs().sum())
    assert 1 < opt.param_groups[0]["distance"] <= 5.5
    assert (x - 5).abs().max() < 2.5
