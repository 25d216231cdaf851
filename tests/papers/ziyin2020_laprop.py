"""LaProp (Ziyin, Wang & Ueda 2020, arXiv:2002.04839): momentum of scaled gradients."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from torch import Tensor

import steepest
from steepest import direction as D
from tests.laws.common import directions, few, streams
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Linear, Problem, Vector
from tests.rows import Hand, Row, Setting

CONTRACT = {"LaProp": Setting({"lr": 0.02, "weight_decay": 0.1}, root=True)}


def laprop(f: Problem, x: Vector, etas: Rates, mu: float = 0.9, nu: float = 0.999, eps: float = 1e-15,
           lam: float = 0.0) -> Path:  # fmt: skip
    """Algorithm 1, with decoupled decay."""
    m = n = 0 * x
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t)
        n = nu * n + (1 - nu) * g**2
        m = mu * m + (1 - mu) * g / (np.sqrt(n / (1 - nu**t)) + eps)
        x = x - eta * m / (1 - mu**t) - eta * lam * x
        yield x


ORACLE = [
    Row("LaProp", laprop, {"betas": (0.8, 0.9), "weight_decay": 0.1}, {"mu": 0.8, "nu": 0.9, "lam": 0.1}, lr=0.03),
    Row("LaProp", laprop, {"betas": (0.95, 0.4), "eps": 1e-3}, {"mu": 0.95, "nu": 0.4, "eps": 1e-3}, lr=0.03),
]
HANDS = [
    # n̂₁ = g₁²: m₁ = ½ sign; n₂ = (4 + 32, 1 + 2) over ¾ = (48, 4): m₂ = (¼ + ½ 8/√48, -¼ + ½ 2/2), over ¾
    Hand("LaProp", steepest.LaProp, {"betas": (0.5, 0.5), "eps": 0.0}, laprop, {"mu": 0.5, "nu": 0.5, "eps": 0.0},
         Linear([1, -1], [4, -2], [8, 2]), [0.1, 0.3], [(0.9, -0.9), (0.9 - 0.4 * (0.25 + 4 / np.sqrt(48)), -1.0)]),
]  # fmt: skip

DIRECTIONS = {"LaProp": D.LaProp}
SCALE_FREE = {"LaProp": lambda: D.LaProp(eps=0.0)}
COLLAPSES = {
    "LaProp without momentum is Adam without": (D.LaProp(beta1=0.0, beta2=0.9, eps=1e-8), D.Adam(beta1=0.0, beta2=0.9))
}


@few
@given(gs=streams(length=6))
def test_no_beta_makes_it_move_by_more_than_the_root(gs: list[Tensor]) -> None:
    """|g|/√v̂ ≤ √((1 - β₂ᵗ)/(1 - β₂)), whatever β₁ is: Adam has no such bound for β₁² > β₂."""
    for t, d in enumerate(directions(D.LaProp(beta1=0.9, beta2=0.5, eps=1e-300), gs), 1):
        assert (d.abs() <= ((1 - 0.5**t) / 0.5) ** 0.5 + 1e-9).all()
