"""T-DoG (Ivgi et al. 2023, arXiv:2302.12022): DoG with a bound for noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from math import log, sqrt
from typing import Any

from torch import Tensor

import steepest
from steepest import oracle, point, stepsize
from tests.oracle.equations import Path, Rates, dot
from tests.oracle.problems import Linear, Problem, Vector
from tests.rows import NEVER_FORGETS, PIECES, SUM, Row, Setting, by_hand

CONTRACT = {
    "TDoG": Setting(
        {"lr": 10000.0, "reps_rel": 0.01, "bound": 5.0, "weight_decay": 0.1},
        whole=SUM,
        loose={"lifts_agree": PIECES},
        unguarded={"exploding-0": NEVER_FORGETS, "exploding-5": NEVER_FORGETS},
    ),
}


def averaged_tdog(params: Any, **options: Any) -> steepest.Optimizer:
    """Taming and averaging, with no guard."""
    return steepest.TDoG(params, point=point.Average(), oracle=oracle.Oracle(), **options)


def tamed_dog(
    f: Problem, x: Vector, etas: Rates, reps: float, T: int, delta: float, L: float = 0.0, lam: float = 0.0
) -> Path:
    """Equation (T-DoG) with t from 0; without L, the largest norm that was seen, and no move before the first."""
    x0, far, norms, ells = x, reps * (1 + math.sqrt(dot(x, x))), [0.0], [0.0]
    for t, lr in enumerate(etas):
        g = f.grad(x, t + 1) + lam * x
        far = max(far, math.sqrt(dot(x - x0, x - x0)))
        ells.append(max(ells[-1], L, math.sqrt(dot(g, g))))
        top = ells[-1]
        if top > 0:
            start = next(ell for ell in ells if ell > 0)
            log = 1 + math.log(1 + t * top**2 / start**2)
            Gp = 8**4 * math.log(60 * math.log(6 * T) / delta) ** 2 * log**2 * (sum(n**2 for n in norms) + 16 * top**2)
            x = x - lr * far / math.sqrt(Gp) * g
        norms.append(math.sqrt(dot(g, g)))
        yield x


def averaged_tamed_dog(f: Problem, x: Vector, etas: Rates, reps: float, gamma: float) -> Path:
    """T-DoG for T = 10,000 and δ = 0.01, seen at the polynomial-decay average of its points after the start."""
    mean = 0 * x
    for t, y in enumerate(tamed_dog(f, x, etas, reps, 10_000, 0.01), 1):
        w = (1 + gamma) / (t + gamma)
        mean = (1 - w) * mean + w * y
        yield mean


ORACLE = [
    Row("TDoG", tamed_dog, {"reps_rel": 0.1, "delta": 0.05, "steps": 24, "weight_decay": 0.1},
        {"reps": 0.1, "T": 24, "delta": 0.05, "lam": 0.1}, lr=500.0),
    Row("TDoG", tamed_dog, {"reps_rel": 1.0, "steps": 30, "bound": 3.0},
        {"reps": 1.0, "T": 30, "delta": 0.01, "L": 3.0}, lr=300.0),
    Row(averaged_tdog, averaged_tamed_dog, {"reps_rel": 1.0}, {"reps": 1.0, "gamma": 8}, lr=300.0, returned=True),
]  # fmt: skip


UNITLESS: dict[str, Callable[[int], stepsize.StepSize]] = {
    "T-DoG": lambda power: stepsize.TDoG(reps_rel=0.01, bound=0.5 * 2.0**power),
}
LENGTHS: dict[str, Callable[[float, Tensor], stepsize.StepSize]] = {
    "T-DoG": lambda scale, start: stepsize.TDoG(
        reps_rel=0.01 * scale * (1 + float(start.norm())) / (1 + scale * float(start.norm()))
    ),
}


def test_tdog_by_hand() -> None:
    """Constant gradient 1 = ℓ, T = 10, δ = ½, and a rate that takes 64 θ away: r̄ = 0.5, G' = 16; then log₊(1 + 1) = 1 + log 2
    and 1 + 16; then r̄ is how far that was, log₊(1 + 2) and 2 + 16.
    """
    theta, far = log(60 * log(60) / 0.5), 0.5 + 0.5 / ((1 + log(2)) * sqrt(17))
    rates = {"reps": 0.5, "T": 10, "delta": 0.5, "L": 1.0}
    by_hand(steepest.TDoG, {"reps_rel": 0.5, "delta": 0.5, "steps": 10, "bound": 1.0}, tamed_dog, rates,
          Linear([0], [1]), [64 * theta * 4, 64 * theta, 64 * theta],
          [(-0.5,), (-far,), (-far - far / ((1 + log(3)) * sqrt(18)),)])  # fmt: skip
