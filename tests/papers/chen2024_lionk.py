"""Lion-K (Chen et al. 2024, arXiv:2310.05898): the gradient of a convex function in the place of Lion's sign."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from torch import Tensor, nn

import steepest
from steepest import direction as D
from tests.laws.common import directions, few, streams
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import SHAPES, Linear, Problem, Vector, join
from tests.rows import Hand, Row, Setting

CONTRACT = {
    "LionK": Setting({"lr": 0.03, "weight_decay": 0.1}, root=True,
                     loose={"lifts_agree": (2e-6, "eagerly the norm is a float32 sum")}),
}  # fmt: skip


def slope(K: str, c: Vector, e: float, p: float) -> Vector:
    """∇K of one tensor."""
    if not c.any():
        return 0 * c
    if K == "huber":
        return np.where(np.abs(c) < e, c / e, np.sign(c))
    if K == "truncated":
        return np.sign(c) * (np.abs(c) > e)
    p = {"l1": 1.0, "l2": 2.0, "lp": p}[K]
    return np.asarray(np.sign(c) * np.abs(c) ** (p - 1) / np.linalg.norm(c.reshape(-1), p) ** (p - 1))


def lionk(f: Problem, x: Vector, etas: Rates, b1: float = 0.9, b2: float = 0.99, K: str = "l2", e: float = 1e-3,
          p: float = 1.5, lam: float = 0.0) -> Path:  # fmt: skip
    """The discrete-time scheme, with m of the other sign than in the paper."""
    m = 0 * x
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t)
        d = join([slope(K, c, e, p) for c in f.parts(b1 * m + (1 - b1) * g)])
        x, m = x - eta * (d + lam * x), b2 * m + (1 - b2) * g
        yield x


ORACLE = [
    Row("LionK", lionk, {"weight_decay": 0.1}, {"lam": 0.1}, lr=0.03),
    Row("LionK", lionk, {"K": "lp", "scale": 1.0, "betas": (0.8, 0.9)}, {"K": "l1", "b1": 0.8, "b2": 0.9}, lr=0.03),
    Row("LionK", lionk, {"K": "lp", "scale": 3.0}, {"K": "lp", "p": 3.0}, lr=0.03),
    Row("LionK", lionk, {"K": "lp", "weight_decay": 0.1}, {"K": "lp", "lam": 0.1}, lr=0.03),
    Row("LionK", lionk, {"K": "huber", "scale": 0.01}, {"K": "huber", "e": 0.01}, lr=0.03),
    Row("LionK", lionk, {"K": "truncated", "scale": 0.01}, {"K": "truncated", "e": 0.01}, lr=0.03),
]
EDGES = [Row("LionK", lionk, {"K": K}, {"K": K}, on=SHAPES, lr=0.03) for K in ("l2", "lp")]
HALVES: dict[str, Any] = {"betas": (0.5, 0.75)}
HALVES_TERMS: dict[str, Any] = {"b1": 0.5, "b2": 0.75}
HANDS = [
    # c₁ = (3, 4) of length 5, m₁ = (1.5, 2), c₂ = (4, -3)
    Hand("Lion-l2", steepest.LionK, {**HALVES, "weight_decay": 0.5}, lionk, {**HALVES_TERMS, "lam": 0.5},
         Linear([1, -1], [6, 8], [6.5, -8]), [0.1, 0.2], [(0.89, -1.03), (0.641, -0.807)]),
    # c₁ = (3, 4, -5), ‖c‖₃ = 6: d = (1/4, 4/9, -25/36); m₁ = (1.5, 2, -2.5), c₂ = (3, -4, 5)
    Hand("Lion-lp", steepest.LionK, {**HALVES, "K": "lp", "scale": 3.0}, lionk, {**HALVES_TERMS, "K": "lp", "p": 3.0},
         Linear([0, 0, 0], [6, 8, -10], [4.5, -10, 12.5]), [0.9, 0.18],
         [(-0.225, -0.4, 0.625), (-0.27, -0.32, 0.5)]),
    # c₁ = (1, 4), m₁ = (0.5, 2), c₂ = (-3, 1), e = 2
    Hand("Lion-huber", steepest.LionK, {**HALVES, "K": "huber", "scale": 2.0}, lionk, {**HALVES_TERMS, "K": "huber", "e": 2.0},
         Linear([0, 0], [2, 8], [-6.5, 0]), [0.1, 0.2], [(-0.05, -0.1), (0.15, -0.2)]),
    Hand("Lion-truncated", steepest.LionK, {**HALVES, "K": "truncated", "scale": 2.0}, lionk,
         {**HALVES_TERMS, "K": "truncated", "e": 2.0}, Linear([0, 0], [2, 8], [-6.5, 0]), [0.1, 0.2],
         [(0, -0.1), (0.2, -0.1)]),
]  # fmt: skip

DIRECTIONS = {"Lion-l2": D.LionK, "Lion-lp": D.LionP, "Lion-huber": D.LionHuber}
SCALE_FREE = {"Lion-l2": D.LionK}  # and "lp", but for the rounding of powers
COLLAPSES = {
    "Lion-K with p = 2 is the 2-norm's": (D.LionP(p=2.0), D.LionK()),
    "Lion-K with p = 1 is Lion": (D.LionP(p=1.0), D.Lion()),
    "Lion-K that is truncated at nearly 0 is Lion": (D.LionTruncated(e=1e-300), D.Lion()),
}
RULES: dict[str, type[D.LionK]] = {"l2": D.LionK, "lp": D.LionP, "huber": D.LionHuber, "truncated": D.LionTruncated}


def dual(K: str, d: Tensor) -> float:
    """The norm whose unit ball ∇K stays in; for p = 3/2 it is the 3-norm."""
    return float({"l2": d.norm(2), "lp": d.norm(3)}.get(K, d.abs().max()))


@pytest.mark.parametrize("K", RULES)
@few
@given(gs=streams())
def test_the_gradient_of_k_is_in_the_set_that_bounds_x(K: Any, gs: list[Tensor]) -> None:
    assert all(dual(K, d) <= 1 + 1e-12 for d in directions(RULES[K](), gs))


@pytest.mark.parametrize("K", RULES)
def test_decay_is_a_constraint(K: Any) -> None:
    """From outside the distance to the set shrinks by 1 - ηλ a step at least, and inside it x stays: whatever f is."""
    x = nn.Parameter(torch.tensor([30.0, -8.0, 1.0], dtype=torch.float64))
    opt = steepest.LionK([x], lr=0.05, weight_decay=0.5, K=K)
    far = max(dual(K, x.detach()) - 2, 0.0)
    for _ in range(400):
        opt.step(lambda: (x - 50).square().sum())
        now = max(dual(K, x.detach()) - 2, 0.0)
        assert now <= (1 - 0.05 * 0.5) * far + 1e-12
        far = now


@pytest.mark.parametrize(("wrong", "says"), [({"K": "l3"}, "one of 'l2'"), ({"scale": 2.0}, "no scale")])
def test_what_k_is_is_checked(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        steepest.LionK([nn.Parameter(torch.ones(1))], **wrong)
