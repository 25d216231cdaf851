"""Gravity (Bahrami & Pouriyan Zadeh 2021, arXiv:2101.09192): momentum over damped gradients, from a random start."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from torch import Tensor, nn

import steepest
from steepest import direction as D
from steepest.core.draws import drawn
from tests.laws.common import directions, few, streams
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import SHAPES, Linear, Problem, Vector, join
from tests.rows import Hand, Row, Setting

CONTRACT = {"Gravity": Setting({"lr": 0.1, "alpha": 0.001}, whole="V₀ is drawn by the parameter's place among all")}


def gravity(f: Problem, x: Vector, etas: Rates, alpha: float = 0.01, beta: float = 0.9) -> Path:
    """The paper's algorithm, tensor by tensor; V₀ is taken from where the library has it."""
    starts = [drawn(0, "start", 1, i, torch.from_numpy(p)).numpy() for i, p in enumerate(f.start)]
    V = [alpha / etas[0] * s for s in starts]
    for t, eta in enumerate(etas):
        b = (beta * t + 1) / (t + 2)
        for k, g in enumerate(f.parts(f.grad(x, t + 1))):
            steepest_one = np.abs(g).max() if g.any() else 0.0  # 1 / m
            V[k] = b * V[k] + (1 - b) * g / (1 + (g * steepest_one) ** 2)
        x = x - eta * join(V)
        yield x


ORACLE = [
    Row("Gravity", gravity, lr=0.1),
    Row("Gravity", gravity, {"alpha": 0.1, "momentum": 0.5}, {"alpha": 0.1, "beta": 0.5}, lr=0.5),
]
EDGES = [Row("Gravity", gravity, on=SHAPES)]
HANDS = [
    # max 2: z₁ = (2/17, -1/5), halved by 1 - β̂ = ½; max 1: z₂ = (½, 0), β̂ = (½ + 1)/3 = ½: V₂ = (½ 1/17 + ¼, -1/20)
    Hand("Gravity", steepest.Gravity, {"alpha": 0.0, "momentum": 0.5}, gravity, {"alpha": 0.0, "beta": 0.5},
         Linear([0, 0], [2, -1], [1, 0]), [1.7, 0.2], [(-0.1, 0.17), (-0.1 - 0.2 * (1 / 34 + 0.25), 0.18)]),
]  # fmt: skip


@few
@given(gs=streams(length=4))
def test_no_move_is_longer_than_that_of_the_best_slope(gs: list[Tensor]) -> None:
    """|z| ≤ 1/(2 max|g|), which is where g max|g| = 1."""
    for g in gs:
        z = directions(D.Gravity(alpha=0.0), [g])[0] * 2
        assert (z.abs() * g.abs().max() <= 0.5 + 1e-12).all()


def test_the_first_moves_are_random_and_of_the_size_that_was_asked_for() -> None:
    x = nn.Parameter(torch.zeros(10_000))
    for lr in (0.1, 1.0):
        x.data.zero_()
        opt = steepest.Gravity([x], lr=lr, alpha=0.01)
        opt.step(lambda: (0 * x).sum())
        assert abs(float(x.detach().std()) / 0.005 - 1) < 0.05
