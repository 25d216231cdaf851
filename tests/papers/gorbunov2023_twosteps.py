"""Extragradient with two step sizes (Hsieh et al. 2020; Gorbunov et al. 2022, arXiv:2210.13831)."""

from __future__ import annotations

from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Problem, Vector
from tests.rows import Row


def two_steps(f: Problem, x: Vector, etas: Rates, a: float) -> Path:
    """arXiv:2210.13831, EG with γ₁ = a γ₂."""
    for t, eta in enumerate(etas, 1):
        x = x - eta * f.grad(x - a * eta * f.grad(x, t), t)
        yield x


ORACLE = [
    Row("ExtraSGD", two_steps, {"ahead": 2.5}, {"a": 2.5}, game=True),
    Row("ExtraSGD", two_steps, {"ahead": 0.4}, {"a": 0.4}, lr=0.3),
]  # fmt: skip
