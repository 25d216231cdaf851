"""Cautious optimizers (Liang et al. 2024, arXiv:2411.16085): what disagrees with the gradient stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import steepest
from steepest import direction as D
from steepest import geometry
from tests.laws.common import close, directions, few, positive, same, streams, vectors
from tests.oracle.equations import Moments, Path, Rates, caution
from tests.oracle.problems import Linear, Problem, Vector
from tests.rows import HALF, HALF_TERMS, B, Hand, Row, Setting

CONTRACT = {
    "CAdamW": Setting({"lr": 0.03, "weight_decay": 0.1}, root=True),
    "CLion": Setting({"lr": 0.01, "weight_decay": 0.1}),
}


def mean_cautious_adamw(params: Any, **options: Any) -> steepest.Optimizer:
    """Cautious AdamW with the later scale."""
    inner = D.Cautious(D.Adam(beta1=0.8, beta2=0.9, eps=1e-6), scale="mean")
    return steepest.Optimizer(params, direction=inner, geometry=geometry.Decay(weight_decay=0.1), **options)


def mean_cautious(params: Any, **options: Any) -> steepest.Optimizer:
    inner = D.Cautious(D.Adam(beta1=0.5, beta2=0.5, eps=1.0), scale="mean")
    return steepest.Optimizer(params, direction=inner, geometry=geometry.Decay(weight_decay=0.5), **options)


def cautious_adamw(f: Problem, x: Vector, etas: Rates, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-6,
                   lam: float = 0.0, scale: str = "count") -> Path:  # fmt: skip
    u = Moments(b1, b2, eps)
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t)
        x = x - eta * lam * x - eta * caution(f, u(g), g, scale)
        yield x


def cautious_lion(f: Problem, x: Vector, etas: Rates, b1: float = 0.95, b2: float = 0.98, lam: float = 0.0,
                  scale: str = "count") -> Path:  # fmt: skip
    m = 0 * x
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t)
        u = np.sign(b1 * m + (1 - b1) * g)
        x = x - eta * lam * x - eta * caution(f, u, g, scale)
        m = b2 * m + (1 - b2) * g
        yield x


SPARSE = Linear(np.ones(40), *[np.where(np.arange(40) % 3 == k % 3, np.where(np.arange(40) < 3, 1.0, (-1.0) ** (k // 3)),
                                        0.0) for k in range(12)])  # fmt: skip
WIDE = Linear(np.zeros(4000), np.ones(4000), np.r_[1.0, np.full(3999, -0.01)])  # one of 4000 coordinates agrees
ORACLE = [
    Row("CAdamW", cautious_adamw, {"betas": (0.8, 0.9), "weight_decay": 0.1}, {**B, "lam": 0.1}, lr=0.03),
    Row(mean_cautious_adamw, cautious_adamw, {}, {**B, "lam": 0.1, "scale": "mean"}, lr=0.03),
    Row("CLion", cautious_lion, {"weight_decay": 0.1}, {"lam": 0.1}, lr=0.01),
]  # fmt: skip
EDGES = [
    Row(mean_cautious_adamw, cautious_adamw, {}, {**B, "lam": 0.1, "scale": "mean"}, on=WIDE),
    Row(mean_cautious_adamw, cautious_adamw, {}, {**B, "lam": 0.1, "scale": "mean"}, on=SPARSE),
    Row("CAdamW", cautious_adamw, {"betas": (0.8, 0.9)}, B, on=SPARSE),
    Row("CLion", cautious_lion, on=SPARSE),
]  # fmt: skip
HANDS = [
    # u₁ = (1/2, -2/3, 5/6), all agree: s = 3/(3+1); m₂ = (0.75, -1.5, 0.75), v̂₂ = (1, 4, 9): u₂ = (1/2, -2/3, 1/4), the
    # last against g₂ = -1: s = 3/(2+1); decay by 0.85 and 0.7 first, unmasked
    Hand("Cautious AdamW", steepest.CAdamW, {**HALF, "weight_decay": 0.5}, cautious_adamw,
         {**HALF_TERMS, "lam": 0.5}, Linear([1, -1, 2], [1, -2, 5], [1, -2, -1]), [0.3, 0.6],
         [(0.7375, -0.7, 1.5125), (0.21625, -0.09, 1.05875)]),
    # the same with s = 1 and 3/2
    Hand("Cautious AdamW, mean", mean_cautious, {}, cautious_adamw, {**HALF_TERMS, "lam": 0.5, "scale": "mean"},
         Linear([1, -1, 2], [1, -2, 5], [1, -2, -1]), [0.3, 0.6], [(0.7, -0.65, 1.45), (0.04, 0.145, 1.015)]),
    # u₁ = sign(g₁/2), s = 3/4; m₁ = g₁/4; c₂ = (0.05, 0.5, 1.625) against g₂ = (-0.4, 2, 3): the first is masked, s = 1
    Hand("Cautious Lion", steepest.CLion, {"betas": (0.5, 0.75)}, cautious_lion, {"b1": 0.5, "b2": 0.75},
         Linear([1, -1, 2], [2, -4, 1], [-0.4, 2, 3]), [0.1, 0.2], [(0.925, -0.925, 1.925), (0.925, -1.125, 1.725)]),
]  # fmt: skip


DIRECTIONS = {
    "cautious gradient": lambda: D.Cautious(D.Direction()),
    "cautious Adam": lambda: D.Cautious(D.Adam()),
    "cautious Lion, mean": lambda: D.Cautious(D.Lion(), scale="mean"),
}
SCALE_FREE = {
    "cautious Lion": lambda: D.Cautious(D.Lion()),
    "cautious Adam": lambda: D.Cautious(D.Adam(eps=0.0)),
}


@pytest.mark.parametrize("inner", [D.Direction, D.Momentum, D.Adam, D.AMSGrad, D.NAdam, D.AdaBelief, D.Lion, D.Adopt])
@pytest.mark.parametrize("scale", ["count", "mean"])
@few
@given(gs=streams())
def test_caution(inner: Callable[[], D.Direction], scale: Literal["count", "mean"], gs: list[Tensor]) -> None:
    """Where a cautious direction moves it moves as its inner one, times one factor where g is not 0; never against it."""
    plain, cautious = directions(inner(), gs), directions(D.Cautious(inner(), scale=scale, cap=2), gs)
    for g, d, c in zip(gs, plain, cautious, strict=True):
        agrees, n = d * g > 0, int((g != 0).sum())
        factor = min(2.0, n / (int(agrees.sum()) + 1) if scale == "count" else n / max(int(agrees.sum()), 1))
        assert torch.allclose(c, torch.where(g == 0, d, torch.where(agrees, d * factor, 0.0)), rtol=1e-14)
        assert (c * g >= 0).all()


@pytest.mark.parametrize("inner", [D.Momentum, D.Adam, D.Lion])
@pytest.mark.parametrize("scale", ["count", "mean"])
@few
@given(gs=streams(), dead=st.integers(1, 30))
def test_caution_does_not_see_what_never_has_a_gradient(inner: Callable[[], D.Direction], scale: Any, gs: list[Tensor],
                                                        dead: int) -> None:  # fmt: skip
    """Rows of an embedding that no batch touches change nothing for those that are."""
    alone = directions(D.Cautious(inner(), scale=scale), gs)
    beside = directions(D.Cautious(inner(), scale=scale), [torch.cat([g, g.new_zeros(dead)]) for g in gs])
    assert same([d[: len(gs[0])] for d in beside], alone)
    assert not any(d[len(gs[0]) :].any() for d in beside)


@pytest.mark.parametrize("inner", [D.Direction, D.Momentum, D.Adam, D.Lion])
@few
@given(g=vectors(elements=positive), scale=st.sampled_from(["count", "mean"]))
def test_caution_on_a_constant_gradient(
    inner: Callable[[], D.Direction], g: Tensor, scale: Literal["count", "mean"]
) -> None:
    """Everything agrees: the mean leaves the direction as it is, the count takes n/(n+1) of it."""
    part = len(g) / (len(g) + 1) if scale == "count" else 1.0
    want = [d * part for d in directions(inner(), [g] * 4)]
    assert close(directions(D.Cautious(inner(), scale=scale), [g] * 4), want)
