"""diffGrad (Dubey et al. 2020, arXiv:1909.11015): Adam with a friction where the gradient stands still."""

from __future__ import annotations

from math import log

import numpy as np
from hypothesis import given
from torch import Tensor

import steepest
from steepest import direction as D
from tests.laws.common import directions, few, streams
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Linear, Problem, Vector
from tests.rows import B, Hand, Row, Setting

CONTRACT = {"DiffGrad": Setting({"lr": 0.03, "weight_decay": 0.1}, root=True)}


def diffgrad(f: Problem, x: Vector, etas: Rates, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8,
             lam: float = 0.0) -> Path:  # fmt: skip
    """Equations (8) to (12): Adam's step times the sigmoid of the change of the gradient."""
    m = v = old = 0 * x
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t) + lam * x
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        xi = 1 / (1 + np.exp(-np.abs(old - g)))
        x = x - eta * xi * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
        old = g
        yield x


ORACLE = [
    Row("DiffGrad", diffgrad, {"betas": (0.8, 0.9), "weight_decay": 0.1}, {**B, "lam": 0.1}, lr=0.03),
    Row("DiffGrad", diffgrad, {"eps": 1e-3}, {"eps": 1e-3}, lr=0.03),
]
L = log(3)
HANDS = [
    # ξ₁ = 1/(1 + 1/3) = ¾ in both; d₁ = ¾ sign. Then the first gradient stays: ξ = ½, m̂ = L; the second turns by 2L:
    # ξ = 1/(1 + 1/9), m̂₂ = (L/2 - L/4)/¾ = L/3; v̂ = L²
    Hand("diffGrad", steepest.DiffGrad, {"betas": (0.5, 0.5), "eps": 0.0}, diffgrad, {"b1": 0.5, "b2": 0.5, "eps": 0.0},
         Linear([1, -1], [L, -L], [L, L]), [0.1, 0.2], [(0.925, -0.925), (0.825, -0.985)]),
]  # fmt: skip

DIRECTIONS = {"diffGrad": D.DiffGrad}


@few
@given(gs=streams())
def test_it_goes_between_half_as_far_as_adam_and_as_far(gs: list[Tensor]) -> None:
    for d, adam in zip(directions(D.DiffGrad(), gs), directions(D.Adam(), gs), strict=True):
        assert ((d / adam >= 0.5 - 1e-12) & (d / adam <= 1 + 1e-12) | (adam == 0)).all()


@few
@given(gs=streams(length=1))
def test_it_goes_half_as_far_where_the_gradient_stands_still(gs: list[Tensor]) -> None:
    ours, adam = directions(D.DiffGrad(), [gs[0]] * 3)[1:], directions(D.Adam(), [gs[0]] * 3)[1:]
    assert all(((d * 2 - a).abs() <= 1e-12 * a.abs()).all() for d, a in zip(ours, adam, strict=True))
