"""The reflected gradient method (Malitsky 2015; arXiv:1908.08465)."""

from __future__ import annotations

from typing import Any

import steepest
from steepest import point
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Problem, Vector
from tests.rows import Row


def reflected_gradient(params: Any, **options: Any) -> steepest.Optimizer:
    """The reflected gradient method."""
    return steepest.Optimizer(params, point=point.Reflected(), **options)


def reflected(f: Problem, x: Vector, etas: Rates) -> Path:
    """arXiv:1908.08465, RG without constraints."""
    before = x
    for t, eta in enumerate(etas, 1):
        x, before = x - eta * f.grad(2 * x - before, t), x
        yield x


AHEAD = "the only gradient is the one at the reflection"
ORACLE = [
    Row(reflected_gradient, reflected, game=True, elsewhere=AHEAD),
    Row(reflected_gradient, reflected, lr=0.3, elsewhere=AHEAD),
]  # fmt: skip
