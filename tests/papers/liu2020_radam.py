"""RAdam (Liu et al. 2020, arXiv:1908.03265): a rectified second moment."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import steepest
from steepest import direction as D
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Linear, Problem, Vector
from tests.rows import B, Hand, Pair, Row, Setting

CONTRACT = {"RAdam": Setting({"lr": 0.01, "betas": (0.9, 0.95), "weight_decay": 0.1}, root=True)}


def radam(f: Problem, x: Vector, etas: Rates, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8,
          lam: float = 0.0) -> Path:  # fmt: skip
    """Algorithm 2; the threshold and the place of ε are torch's."""
    m = v = 0 * x
    most = 2 / (1 - b2) - 1
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t) + lam * x
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        rho = most - 2 * t * b2**t / (1 - b2**t)
        step = m / (1 - b1**t)
        if rho > 5:
            r = math.sqrt((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho))
            step = r * step * math.sqrt(1 - b2**t) / (np.sqrt(v) + eps)
        x = x - eta * step
        yield x


ORACLE = [
    Row("RAdam", radam, {"betas": (0.8, 0.9), "weight_decay": 0.1}, {**B, "lam": 0.1}, lr=0.03),
    Row("RAdam", radam, {"eps": 1e-3}, {"eps": 1e-3}, lr=0.03),
    Row("RAdam", radam, {"betas": (0.8, 0.6)}, {"b1": 0.8, "b2": 0.6}, lr=0.1),  # never scaled
]
HANDS = [
    # not scaled yet: m₁ = (2, -1), over ½; m₂ = (1 - 1, -½ - 1½), over ¾
    Hand("RAdam", steepest.RAdam, {"betas": (0.5, 0.999)}, radam, {"b1": 0.5}, Linear([1, -1], [4, -2], [-2, -3]),
         [0.1, 0.3], [(0.6, -0.8), (0.6, 0.0)]),
]  # fmt: skip
TORCH = [
    Pair(steepest.RAdam, torch.optim.RAdam, {"lr": 0.03}),
    Pair(steepest.RAdam, torch.optim.RAdam, {"lr": 0.03, "betas": (0.7, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    Pair(steepest.RAdam, torch.optim.RAdam, {"lr": 0.03, "betas": (0.8, 0.95), "maximize": True}),
]

DIRECTIONS = {"RAdam": lambda: D.RAdam(beta2=0.9)}
COLLAPSES = {"RAdam that never scales is an average": (D.RAdam(beta1=0.0, beta2=0.6), D.Direction())}


def test_the_rectification_tends_to_one() -> None:
    """r → 1: after many steps it is Adam."""
    part = D.RAdam(beta2=0.99)
    h = part.scalars(5000, steepest.core.part.Scalars(beta1=0.9, beta2=0.99))
    assert h == {"gain": pytest.approx(1.0, rel=1e-12), "scaled": 1.0, "plain": 0.0}
