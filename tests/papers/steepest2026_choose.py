"""One direction for matrices and another for the rest: both by their papers' equations, then a choice."""

from __future__ import annotations

from typing import Any

import numpy as np

import steepest
from steepest import direction as D
from steepest import geometry
from tests.oracle.equations import Moments, Path, Rates
from tests.oracle.problems import Problem, Vector, join
from tests.rows import Row, Setting


class Choosing(steepest.Optimizer):
    """Lion for matrices, Adam at half the learning rate for the others."""

    def __init__(self, params: Any, lr: float = 0.02, weight_decay: float = 0.1, **options: Any) -> None:
        chosen = D.Choose(by="matrix", then=D.Lion(), otherwise=D.Adam(), lr_ratio=0.5)
        super().__init__(params, lr, direction=chosen, geometry=geometry.Decay(weight_decay=weight_decay), **options)


CONTRACT = {"Choose": Setting(make=Choosing, shaped="matrices have another direction", root=True)}


def lion_and_adam(f: Problem, x: Vector, etas: Rates, r: float, lam: float) -> Path:
    """Lion on matrices and Adam on the rest at r times the learning rate, each with decoupled decay: both, then a choice."""
    matrix = join([np.full(p.shape, p.ndim >= 2) for p in f.start])
    rate, adam, m = matrix + (1 - matrix) * r, Moments(0.9, 0.999, 1e-8), 0 * x
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t)
        d = matrix * np.sign(0.9 * m + 0.1 * g) + (1 - matrix) * adam(g)
        m = 0.99 * m + 0.01 * g
        x = x - eta * rate * (d + lam * x)
        yield x


def two_directions(params: Any, lr_ratio: float = 1.0, **options: Any) -> steepest.Optimizer:
    """Lion on matrices and Adam on the rest."""
    chosen = D.Choose(by="matrix", then=D.Lion(), otherwise=D.Adam(), lr_ratio=lr_ratio)
    return steepest.Optimizer(params, direction=chosen, geometry=geometry.Decay(weight_decay=0.3), **options)


ORACLE = [Row(two_directions, lion_and_adam, {"lr_ratio": 0.4}, {"r": 0.4, "lam": 0.3})]
