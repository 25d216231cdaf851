"""AdaMod (Ding et al. 2019, arXiv:1910.12249): step sizes no larger than their average over time."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn, ones

import steepest
from steepest import direction as D
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Linear, Problem, Vector
from tests.rows import TWO, B, Hand, Row, Setting

CONTRACT = {"AdaMod": Setting({"lr": 0.03, "betas": (0.9, 0.99, 0.9), "weight_decay": 0.1}, root=True)}


def adamod(f: Problem, x: Vector, etas: Rates, b1: float = 0.9, b2: float = 0.999, b3: float = 0.999, eps: float = 1e-8,
           lam: float = 0.0) -> Path:  # fmt: skip
    """Algorithm 1; the learning rate of each step is inside the average."""
    m = v = s = 0 * x
    for t, alpha in enumerate(etas, 1):
        g = f.grad(x, t)
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        eta = alpha / (np.sqrt(v / (1 - b2**t)) + eps)
        s = b3 * s + (1 - b3) * eta
        x = x - np.minimum(eta, s) * m / (1 - b1**t) - alpha * lam * x
        yield x


ORACLE = [
    Row("AdaMod", adamod, {"betas": (0.8, 0.9, 0.7), "weight_decay": 0.1}, {**B, "b3": 0.7, "lam": 0.1}, lr=0.03),
    Row("AdaMod", adamod, {"eps": 1e-3}, {"eps": 1e-3}, lr=0.3),
]
HANDS = [
    # √v̂ = (1, 2): η₁ = 0.6/(2, 3) = (0.3, 0.2), s₁ its half, the smaller; η₂ = 0.1/(2, 3), s₂ = (0.1, 1/15), the larger;
    # m̂₁ = (1, -2), m̂₂ = (-1/3, -2)
    Hand("AdaMod", steepest.AdaMod, {"betas": (0.5, 0.5, 0.5), "eps": 1.0}, adamod,
         {"b1": 0.5, "b2": 0.5, "b3": 0.5, "eps": 1.0}, Linear([1, 1], *TWO), [0.6, 0.1],
         [(0.85, 1.2), (0.85 + 0.05 / 3, 1.2 + 1 / 15)]),
]  # fmt: skip

DIRECTIONS = {"AdaMod": D.AdaMod}
SCALE_FREE = {"AdaMod": lambda: D.AdaMod(eps=0.0)}
COLLAPSES = {"AdaMod with β₃ = 0 is Adam": (D.AdaMod(beta3=0.0), D.Adam())}


def test_a_learning_rate_of_zero_moves_nothing() -> None:
    """And leaves the average as a step size of 0 leaves it."""
    x = nn.Parameter(ones(2))
    opt = steepest.AdaMod([x], lr=0.0)
    opt.step(lambda: x.square().sum())
    assert x.tolist() == [1.0, 1.0] and opt.state[x]["bound"].tolist() == [0.0, 0.0] and not opt.counters.skipped


def test_it_has_three_betas() -> None:
    with pytest.raises(TypeError, match="three"):
        steepest.AdaMod([nn.Parameter(ones(1))], betas=(0.9, 0.999))  # type: ignore[arg-type]
