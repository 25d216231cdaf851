"""The proximal point method (Rockafellar 1976), by rounds of a damped fixed point."""

from __future__ import annotations

from typing import Any

import steepest
from steepest import point
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Problem, Vector
from tests.rows import Row


def proximal_point(params: Any, rounds: int = 10, damping: float = 1.0, **options: Any) -> steepest.Optimizer:
    """The proximal point method."""
    return steepest.Optimizer(params, point=point.ProximalPoint(rounds=rounds, damping=damping), **options)


def implicit(f: Problem, x: Vector, etas: Rates, K: int, beta: float = 1.0) -> Path:
    """x⁺ = x - γF(y), with y from K rounds of a damped fixed point."""
    for t, eta in enumerate(etas, 1):
        y = x
        for _ in range(K):
            y = (1 - beta) * y + beta * (x - eta * f.grad(y, t))
        x = x - eta * f.grad(y, t)
        yield x


ORACLE = [
    Row(proximal_point, implicit, {"rounds": 3, "damping": 0.7}, {"K": 3, "beta": 0.7}, game=True),
    Row(proximal_point, implicit, {"rounds": 2}, {"K": 2}, lr=0.3),
]  # fmt: skip
