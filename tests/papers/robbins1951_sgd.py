"""Gradient descent with momentum (Robbins & Monro 1951; Polyak 1964; Nesterov 1983), as torch.optim.SGD has it."""

from __future__ import annotations

import torch
from hypothesis import given
from torch import Tensor

import steepest
from steepest import direction as D
from tests.laws.common import betas, close, directions, few, numbers, positive, same, streams
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Problem, Quadratic, Vector
from tests.rows import Hand, Pair, Row, Setting

CONTRACT = {
    "SGD": Setting({"lr": 0.05, "momentum": 0.9, "dampening": 0.1, "weight_decay": 0.1}),
}


def sgd(f: Problem, x: Vector, etas: Rates, mu: float = 0.0, damp: float = 0.0, nesterov: bool = False,
        lam: float = 0.0) -> Path:  # fmt: skip
    buf = None
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t) + lam * x
        buf = g if buf is None else mu * buf + (1 - damp) * g  # the first gradient is not dampened
        d = g if mu == 0 else g + mu * buf if nesterov else buf
        x = x - eta * d
        yield x


BOWL = Quadratic([1, 2], [1.0, -1.0])  # g = (x, 2y)
ORACLE = [
    Row("SGD", sgd, {"weight_decay": 0.1}, {"lam": 0.1}),
    Row("SGD", sgd, {"momentum": 0.8, "weight_decay": 0.1}, {"mu": 0.8, "lam": 0.1}),
    Row("SGD", sgd, {"momentum": 0.8, "dampening": 0.3}, {"mu": 0.8, "damp": 0.3}),
    Row("SGD", sgd, {"momentum": 0.8, "nesterov": True, "weight_decay": 0.1},
        {"mu": 0.8, "nesterov": True, "lam": 0.1}),
]  # fmt: skip
HANDS = [
    # g₁ = (1, -2) = m₁, x₁ = x - 0.1 m; g₂ = (0.9, -1.6), m₂ = m₁/2 + g₂ = (1.4, -2.6), x₂ = x₁ - 0.2 m₂
    Hand("heavy ball", steepest.SGD, {"momentum": 0.5}, sgd, {"mu": 0.5}, BOWL, [0.1, 0.2],
         [(0.9, -0.8), (0.62, -0.28)]),
    # d₁ = g₁ + m₁/2 = (1.5, -3); g₂ = (0.85, -1.4), m₂ = (1.35, -2.4), d₂ = g₂ + m₂/2 = (1.525, -2.6)
    Hand("Nesterov", steepest.SGD, {"momentum": 0.5, "nesterov": True}, sgd, {"mu": 0.5, "nesterov": True}, BOWL,
         [0.1, 0.2], [(0.85, -0.7), (0.545, -0.18)]),
    # g + x = (2x, 3y): m₁ = (2, -3) whole; g₂ = (1.6, -2.1), m₂ = m₁/2 + g₂/2 = (1.8, -2.55)
    Hand("dampening and decay", steepest.SGD, {"momentum": 0.5, "dampening": 0.5, "weight_decay": 1.0}, sgd,
         {"mu": 0.5, "damp": 0.5, "lam": 1.0}, BOWL, [0.1, 0.2], [(0.8, -0.7), (0.44, -0.19)]),
]  # fmt: skip
TORCH = [
    Pair(steepest.SGD, torch.optim.SGD, {"lr": 0.2}),
    Pair(steepest.SGD, torch.optim.SGD, {"lr": 0.2, "weight_decay": 0.1, "maximize": True}),
    Pair(steepest.SGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    Pair(steepest.SGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.4, "weight_decay": 0.1}),
    Pair(steepest.SGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.8, "nesterov": True, "weight_decay": 0.1}),
    Pair(steepest.SGD, torch.optim.SGD, {"lr": 0.05, "momentum": 0.8, "maximize": True}),
]


DIRECTIONS = {
    "momentum": D.Momentum,
    "dampened": lambda: D.Momentum(momentum=0.5, dampening=0.5),
    "Nesterov": lambda: D.Momentum(nesterov=True),
    "coupled": lambda: D.Coupled(D.Momentum(), weight_decay=0.1),
}
COLLAPSES = {
    "momentum 0 is the gradient": (D.Momentum(momentum=0.0), D.Direction()),
    "momentum 0 is the gradient, dampened or not": (D.Momentum(momentum=0.0, dampening=0.7), D.Direction()),
    "no decay is no coupling": (D.Coupled(D.Adam()), D.Adam()),
}


@few
@given(gs=streams(), beta=betas)
def test_dampening_by_momentum_is_an_average(gs: list[Tensor], beta: float) -> None:
    """From the first gradient on: m ← βm + (1-β)g with m₁ = g₁."""
    m, want = gs[0], [gs[0]]
    for g in gs[1:]:
        m = beta * m + (1 - beta) * g
        want.append(m)
    assert close(directions(D.Momentum(momentum=beta, dampening=beta), gs), want)


@few
@given(gs=streams(elements=numbers), lam=positive)
def test_coupled_decay_is_a_penalty(gs: list[Tensor], lam: float) -> None:
    """At x = 0 there is nothing to decay, elsewhere the gradient is g + λx."""
    assert same(directions(D.Coupled(D.Momentum(), weight_decay=lam), gs), directions(D.Momentum(), gs))
