"""AdamNC (Reddi et al. 2018, arXiv:1904.09237, Algorithm 3): decay rates that change with time."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from torch import Tensor

import steepest
from steepest import direction as D
from tests.laws.common import close, directions, few, streams
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Linear, Problem, Vector
from tests.rows import Hand, Row, Setting

CONTRACT = {"AdamNC": Setting({"lr": 0.03, "weight_decay": 0.1}, root=True)}


def adamnc(f: Problem, x: Vector, etas: Rates, b1: float = 0.9, fade: float = 1 - 1e-8, eps: float = 1e-8,
           lam: float = 0.0) -> Path:  # fmt: skip
    """Algorithm 3 with β₁ₜ = β₁ λᵗ⁻¹ and β₂ₜ = 1 - 1/t: v is the mean of all squares."""
    m, squares = 0 * x, []
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t) + lam * x
        b1t = b1 * fade ** (t - 1)
        m = b1t * m + (1 - b1t) * g
        squares.append(g**2)
        x = x - eta * m / (np.sqrt(np.mean(squares, 0)) + eps)
        yield x


ORACLE = [
    Row("AdamNC", adamnc, {"weight_decay": 0.1}, {"lam": 0.1}, lr=0.03),
    Row("AdamNC", adamnc, {"beta1": 0.8, "fade": 0.9, "eps": 1e-3}, {"b1": 0.8, "fade": 0.9, "eps": 1e-3}, lr=0.03),
]
HANDS = [
    # m₁ = g₁/2, √v₁ = |g₁|; β₁₂ = ¼, β₂₂ = ½: m₂ = (3.5, 5.375), √v₂ = (4, 5)
    Hand("AdamNC", steepest.AdamNC, {"beta1": 0.5, "fade": 0.5, "eps": 0.0}, adamnc, {"b1": 0.5, "fade": 0.5, "eps": 0.0},
         Linear([0, 0], [4, 1], [4, 7]), [0.1, 0.2], [(-0.05, -0.05), (-0.225, -0.265)]),
]  # fmt: skip

DIRECTIONS = {"AdamNC": D.AdamNC}
SCALE_FREE = {"AdamNC": lambda: D.AdamNC(eps=0.0)}


@few
@given(gs=streams(length=5))
def test_without_momentum_it_is_adagrad_times_the_root_of_t(gs: list[Tensor]) -> None:
    ours, theirs = directions(D.AdamNC(beta1=0.0, eps=1e-12), gs), directions(D.AdaGrad(eps=1e-12), gs)
    assert close(ours, [d * t**0.5 for t, d in enumerate(theirs, 1)])
