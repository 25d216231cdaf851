"""Sophia-H and -G (Liu et al. 2024, arXiv:2305.14342): a clipped step over the diagonal of the curvature."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

import steepest
from tests.oracle.curved import COUPLED, PHASE, TWICE, Drawn, OwnLabels, bekas, drawn
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Vector
from tests.rows import Row, Setting


class SophiaG(steepest.SophiaG):
    """With labels that need no drawing."""

    def __init__(self, params: Any, every: int = 10, **options: Any) -> None:
        super().__init__(params, estimate=OwnLabels(every=every), **options)


CONTRACT = {
    "SophiaH": Setting({"lr": 0.02, "every": 3, "weight_decay": 0.1}, exceptions=TWICE | PHASE),
    "SophiaG": Setting({"lr": 0.02, "every": 1, "weight_decay": 0.1}, make=SophiaG, forwards=2, backwards=2),
}


def sophia(f: Any, x: Vector, etas: Rates, b1: float, b2: float, gamma: float, eps: float, lam: float, k: int,
           z: Drawn | None = None, B: int = 0) -> Path:  # fmt: skip
    """arXiv:2305.14342, Algorithm 3, with Algorithm 1 (z) or with B ĝ ⊙ ĝ, where ĝ is the gradient itself."""
    m, h = np.zeros_like(x), np.zeros_like(x)
    for t, lr in enumerate(etas, 1):
        g = f.grad(x, t)
        m = b1 * m + (1 - b1) * g
        if t % k == 1 % k:
            h = b2 * h + (1 - b2) * (bekas(f, x, t, z) if z else B * g * g)
        x = x - lr * lam * x
        x = x - lr * np.clip(m / np.maximum(gamma * h, eps), -1, 1)
        yield x


B: dict[str, Any] = {"betas": (0.8, 0.9), "weight_decay": 0.1}
BT: dict[str, Any] = {"b1": 0.8, "b2": 0.9, "lam": 0.1}

ORACLE = [
    Row("SophiaH", sophia, {**B, "gamma": 0.3, "every": 4}, {**BT, "gamma": 0.3, "eps": 1e-12, "k": 4, "z": partial(drawn, 0)},
        on=COUPLED),
    Row("SophiaH", sophia, {**B, "gamma": 0.5, "eps": 0.3, "every": 1, "seed": 2},
        {**BT, "gamma": 0.5, "eps": 0.3, "k": 1, "z": partial(drawn, 2)}, on=COUPLED),
    Row("SophiaG", sophia, {**B, "gamma": 0.5, "estimate": OwnLabels(every=4)},
        {**BT, "gamma": 0.5, "eps": 1e-12, "k": 4, "B": 14}),
    Row("SophiaG", sophia, {**B, "gamma": 0.2, "eps": 0.1, "estimate": OwnLabels(every=1)},
        {**BT, "gamma": 0.2, "eps": 0.1, "k": 1, "B": 14}, on=COUPLED),
]  # fmt: skip
