"""Grams (Cao et al. 2024, arXiv:2412.17107): the magnitudes of Adam, the signs of the gradient."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from torch import Tensor

import steepest
from steepest import direction as D
from tests.laws.common import directions, few, streams
from tests.oracle.equations import Moments, Path, Rates
from tests.oracle.problems import Linear, Problem, Vector
from tests.rows import HALF, HALF_TERMS, B, Hand, Row, Setting

CONTRACT = {"Grams": Setting({"lr": 0.03, "weight_decay": 0.1}, root=True)}


def grams(f: Problem, x: Vector, etas: Rates, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-6,
          lam: float = 0.0) -> Path:  # fmt: skip
    """Algorithm 1."""
    u = Moments(b1, b2, eps)
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t)
        x = x - eta * (np.sign(g) * np.abs(u(g)) + lam * x)
        yield x


ORACLE = [
    Row("Grams", grams, {"betas": (0.8, 0.9), "weight_decay": 0.1}, {**B, "lam": 0.1}, lr=0.03),
    Row("Grams", grams, {"eps": 1e-3}, {"eps": 1e-3}, lr=0.03),
]
HANDS = [
    # u₁ = (1/2, -2/3, 5/6); u₂ = (1/2, -2/3, 1/4), of which the last points against g₂ = -1 and is turned; decay by λ = ½
    Hand("Grams", steepest.Grams, {**HALF, "weight_decay": 0.5}, grams, {**HALF_TERMS, "lam": 0.5},
         Linear([1, -1, 2], [1, -2, 5], [1, -2, -1]), [0.3, 0.6], [(0.7, -0.65, 1.45), (0.19, -0.055, 1.165)]),
]  # fmt: skip

DIRECTIONS = {"Grams": lambda: D.Grams(D.Adam()), "Grams of momentum": lambda: D.Grams(D.Momentum())}
SCALE_FREE = {"Grams": lambda: D.Grams(D.Adam(eps=0.0))}
COLLAPSES = {"Grams without momentum is its inner direction": (D.Grams(D.Adam(beta1=0.0)), D.Adam(beta1=0.0))}


@pytest.mark.parametrize("inner", [D.Momentum, D.Adam, D.Lion])
@few
@given(gs=streams())
def test_it_descends_no_less_than_caution_and_than_its_inner_direction(
    inner: Callable[[], D.Direction], gs: list[Tensor]
) -> None:
    """⟨g, d⟩ = Σ|g||u|, of which the others are parts: caution without its factor, and u with both signs."""
    for g, u, d in zip(gs, directions(inner(), gs), directions(D.Grams(inner()), gs), strict=True):
        slope = (g * d).sum()
        assert slope >= (g * u).clamp(min=0).sum() * (1 - 1e-12) and slope >= (g * u).sum() * (1 - 1e-12)
        assert (d.abs() == u.abs())[g != 0].all() and not d[g == 0].any()
