"""Adam (Kingma & Ba 2015, arXiv:1412.6980)."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import steepest
from steepest import direction as D
from tests.laws.common import close, directions, few, positive, streams
from tests.oracle.equations import adam
from tests.oracle.problems import Linear
from tests.rows import MOST, MOST_TERMS, B, Hand, Pair, Row, Setting

CONTRACT = {
    "Adam": Setting({"lr": 0.03, "weight_decay": 0.1}, root=True),
}


ORACLE = [
    Row("Adam", adam, {"betas": (0.8, 0.9), "weight_decay": 0.1}, {**B, "lam": 0.1}, lr=0.03),
]  # fmt: skip
HANDS = [
    # g + x = (1, -2), then (-1, -2): m̂₁ = (1, -2), d₁ = m̂/(|g| + 1) = (1/2, -2/3);
    # m₂ = g₁/4 + g₂/2, m̂₂ = m₂/(3/4) = (-1/3, -2), d₂ = (-1/6, -2/3)
    Hand("Adam, coupled decay", steepest.Adam, {**MOST, "weight_decay": 1.0}, adam, {**MOST_TERMS, "lam": 1.0},
         Linear([1, -1], [0, -1], [-1.85, -1.2]), [0.3, 0.6], [(0.85, -0.8), (0.95, -0.4)]),
]  # fmt: skip
TORCH = [
    Pair(steepest.Adam, torch.optim.Adam, {"lr": 0.03}),
    Pair(steepest.Adam, torch.optim.Adam, {"lr": 0.03, "betas": (0.7, 0.95), "eps": 1e-3, "weight_decay": 0.1}),
    Pair(steepest.Adam, torch.optim.Adam, {"lr": 0.03, "betas": (0.0, 0.9), "maximize": True}),
]


DIRECTIONS = {
    "Adam": D.Adam,
    "Adam uncorrected": lambda: D.Adam(bias_correction=False),
}
SCALE_FREE = {
    "Adam": lambda: D.Adam(eps=0.0),
}
COLLAPSES = {
    "Adam without memory has no bias": (
        D.Adam(beta1=0.0, beta2=0.0),
        D.Adam(beta1=0.0, beta2=0.0, bias_correction=False),
    ),
}


@few
@given(gs=streams(elements=positive), scale=st.floats(0.01, 100))
def test_adam_is_nearly_scale_free(gs: list[Tensor], scale: float) -> None:
    """With ε the answer changes by ε/|g| at most: smallest gradients here are 1/8 and 1/800."""
    assert close(directions(D.Adam(), [g * scale for g in gs]), directions(D.Adam(), gs), rtol=1e-4)


@few
@given(gs=streams(), beta=st.sampled_from([0.25, 0.5, 0.9]))
def test_adam_moves_by_one_at_most(gs: list[Tensor], beta: float) -> None:
    """With β₁ = β₂ the same weights average g and g², so |m̂| ≤ √v̂ (Jensen)."""
    assert all((d.abs() <= 1 + 1e-12).all() for d in directions(D.Adam(beta1=beta, beta2=beta, eps=0.1), gs))


@few
@given(gs=streams(), eps=st.sampled_from([1e-8, 0.125, 1.0]))
def test_adam_without_memory_is_nearly_sign(gs: list[Tensor], eps: float) -> None:
    assert close(directions(D.Adam(beta1=0.0, beta2=0.0, eps=eps), gs), [g / (g.abs() + eps) for g in gs])
