"""Optimistic steps (Popov 1980), and optimistic Adam (Daskalakis et al. 2018, arXiv:1711.00141)."""

from __future__ import annotations

from typing import Any

import steepest
from steepest import direction as D
from steepest import point
from tests.oracle.equations import Moments, Path, Rates
from tests.oracle.problems import Game, Linear, Problem, Vector
from tests.rows import HALF, HALF_TERMS, Hand, Row, Setting

CONTRACT = {
    "OptimisticAdam": Setting({"lr": 0.02}, root=True),
    "OptimisticSGD": Setting({"lr": 0.05}),
}


def optimistic(params: Any, **options: Any) -> steepest.Optimizer:
    """Optimistic Adam as an assembly."""
    return steepest.Optimizer(params, direction=D.Adam(beta1=0.5, beta2=0.9), point=point.Optimistic(), **options)


def optimistic_path(f: Problem, z: Vector, etas: Rates) -> Path:
    old = 0 * z
    for t, eta in enumerate(etas, 1):
        F = f.grad(z, t)
        z, old = z - 2 * eta * F + eta * old, F
        yield z


def optimistic_adam(f: Problem, z: Vector, etas: Rates, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> Path:
    d, old = Moments(b1, b2, eps), 0 * z
    for t, eta in enumerate(etas, 1):
        p = d(f.grad(z, t))
        z, old = z - 2 * eta * p + eta * old, p
        yield z


ORACLE = [
    Row("OptimisticSGD", optimistic_path, game=True),
    Row("OptimisticAdam", optimistic_adam, {"betas": (0.5, 0.9)}, {"b1": 0.5, "b2": 0.9}, lr=0.03, game=True),
    Row(optimistic, optimistic_adam, {}, {"b1": 0.5, "b2": 0.9}, lr=0.03),
]  # fmt: skip
HANDS = [
    # F₁ = (2, -1), twice as far at first; F₂ = (2.2, -0.6): x₂ = x₁ - 0.4 F₂ + 0.2 F₁
    Hand("optimistic", steepest.OptimisticSGD, {}, optimistic_path, {}, Game([[1.0]], 0, False, ([1.0], [2.0])),
         [0.1, 0.2], [(0.6, 2.2), (0.12, 2.24)]),
    # p₁ = (5/6, 1/2); m₂ = (1.75, 0.75), v̂₂ = (9, 1), p₂ = ((7/3)/4, 1/2): x₂ = x₁ - 0.24 p₂ + 0.12 p₁
    Hand("optimistic Adam", steepest.OptimisticAdam, HALF, optimistic_adam, HALF_TERMS,
         Linear([1, -1], [5, 1], [1, 1]), [0.6, 0.12], [(0, -1.6), (-0.04, -1.66)]),
]  # fmt: skip
