"""Adadelta (Zeiler 2012, arXiv:1212.5701): moves in units of x."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from torch import Tensor

import steepest
from steepest import direction as D
from tests.laws.common import close, directions, few, streams
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Linear, Problem, Vector
from tests.rows import Hand, Pair, Row, Setting

CONTRACT = {"Adadelta": Setting({"lr": 0.3, "eps": 1e-3, "weight_decay": 0.1}, root=True)}


def adadelta(f: Problem, x: Vector, etas: Rates, rho: float = 0.9, eps: float = 1e-6, lam: float = 0.0) -> Path:
    """Algorithm 1 with torch's learning rate: RMS[z] = √(E[z²] + ε)."""
    squares, moves = 0 * x, 0 * x
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t) + lam * x
        squares = rho * squares + (1 - rho) * g**2
        delta = -np.sqrt(moves + eps) / np.sqrt(squares + eps) * g
        moves = rho * moves + (1 - rho) * delta**2
        x = x + eta * delta
        yield x


ORACLE = [
    Row("Adadelta", adadelta, {"rho": 0.8, "eps": 1e-3, "weight_decay": 0.1}, {"rho": 0.8, "eps": 1e-3, "lam": 0.1}, lr=0.5),
    Row("Adadelta", adadelta, {"rho": 0.95, "eps": 1e-6}, {"rho": 0.95, "eps": 1e-6}, lr=1.0),
]  # fmt: skip
HANDS = [
    # ρ = ½, ε = 1: v₁ = (8, 0), d₁ = (4/√9, 0), u₁ = (8/9, 0); v₂ = (4 + 25/2, 0 + ½) + 1 = (35/2, 3/2)
    Hand("Adadelta", steepest.Adadelta, {"rho": 0.5, "eps": 1.0}, adadelta, {"rho": 0.5, "eps": 1.0},
         Linear([1, -1], [4, 0], [5, -1]), [0.3, 0.1],
         [(0.6, -1), (0.6 - 0.5 * np.sqrt(17 / 9 / 17.5), -1 + 0.1 / np.sqrt(1.5))]),
]  # fmt: skip
TORCH = [
    Pair(steepest.Adadelta, torch.optim.Adadelta, {"lr": 1.0}),
    Pair(steepest.Adadelta, torch.optim.Adadelta, {"lr": 0.5, "rho": 0.8, "eps": 1e-3, "weight_decay": 0.1}),
    Pair(steepest.Adadelta, torch.optim.Adadelta, {"lr": 1.0, "maximize": True}),
]

DIRECTIONS = {"Adadelta": D.Adadelta}


@few
@given(gs=streams())
def test_the_first_step_is_as_long_as_eps_says(gs: list[Tensor]) -> None:
    """d₁ = g √ε/√((1 - ρ)g² + ε)."""
    first = directions(D.Adadelta(rho=0.0, eps=1e-4), gs[:1])
    assert close(first, [gs[0] * 1e-2 / (gs[0] ** 2 + 1e-4).sqrt()])
