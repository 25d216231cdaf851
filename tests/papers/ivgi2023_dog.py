"""DoG and L-DoG (Ivgi et al. 2023, arXiv:2302.12022): distance over gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np
from torch import Tensor

import steepest
from steepest import point, stepsize
from tests.oracle.equations import Path, Rates, dot
from tests.oracle.problems import Linear, Problem, Quadratic, Vector, join
from tests.rows import NEVER_FORGETS, PIECES, SUM, Row, Setting, by_hand

CONTRACT = {
    "DoG": Setting(
        {"reps_rel": 0.01, "weight_decay": 0.1},
        whole=SUM,
        loose={"lifts_agree": PIECES},
        unguarded={"exploding-0": NEVER_FORGETS, "exploding-5": NEVER_FORGETS},
    ),
    "LDoG": Setting(
        {"reps_rel": 0.01, "weight_decay": 0.1},
        loose={"lifts_agree": PIECES},
        unguarded={"exploding-0": NEVER_FORGETS, "exploding-5": NEVER_FORGETS},
    ),
}


def averaged_dog(params: Any, **options: Any) -> steepest.Optimizer:
    """What the paper of DoG evaluates."""
    return steepest.DoG(params, point=point.Average(), **options)


def layerwise_dog(f: Problem, x: Vector, etas: Rates, reps: float = 1e-6, eps: float = 1e-8, lam: float = 0.0) -> Path:
    """DoG for each tensor alone."""
    start = [p.copy() for p in f.parts(x)]
    far = [reps * (1 + float(np.linalg.norm(p))) for p in start]
    G = [eps] * len(start)
    for t, lr in enumerate(etas, 1):
        new = []
        for i, (p, g) in enumerate(zip(f.parts(x), f.parts(f.grad(x, t) + lam * x), strict=True)):
            far[i] = max(far[i], float(np.linalg.norm(p - start[i])))
            G[i] += float((g * g).sum())
            new.append(p - lr * far[i] / math.sqrt(G[i]) * g)
        x = join(new)
        yield x


def averaged_dog_path(f: Problem, x: Vector, etas: Rates, reps: float, gamma: float) -> Path:
    """DoG, seen at the polynomial-decay average of its points after the start."""
    x0, rbar, G, mean = x, reps * (1 + math.sqrt(dot(x, x))), 1e-8, 0 * x
    for t, lr in enumerate(etas, 1):
        g = f.grad(x, t)
        rbar = max(rbar, math.sqrt(dot(x - x0, x - x0)))
        G += dot(g, g)
        x = x - lr * rbar / math.sqrt(G) * g
        w = (1 + gamma) / (t + gamma)
        mean = (1 - w) * mean + w * x
        yield mean


def dog(f: Problem, x: Vector, etas: Rates, reps: float = 1e-6, eps: float = 1e-8, lam: float = 0.0) -> Path:
    x0, rbar, G = x, reps * (1 + math.sqrt(dot(x, x))), eps
    for t, lr in enumerate(etas, 1):
        g = f.grad(x, t) + lam * x
        rbar = max(rbar, math.sqrt(dot(x - x0, x - x0)))
        G = G + dot(g, g)
        x = x - lr * rbar / math.sqrt(G) * g if G > 0 else x
        yield x


ORACLE = [
    Row("DoG", dog, {"reps_rel": 1e-2, "weight_decay": 0.1}, {"reps": 1e-2, "lam": 0.1}, lr=1.0),
    Row("LDoG", layerwise_dog, {"reps_rel": 1e-2, "weight_decay": 0.1}, {"reps": 1e-2, "lam": 0.1}, lr=1.0),
    Row(averaged_dog, averaged_dog_path, {"reps_rel": 1e-2}, {"reps": 1e-2, "gamma": 8}, lr=1.0, returned=True),
]  # fmt: skip
EDGES = [
    Row("DoG", dog, {"reps_rel": 0.5, "G0": 0.0}, {"reps": 0.5, "eps": 0.0}, lr=1.0,
        on=Linear([1.0, 2.0], [0.0, 0.0], [3.0, 4.0])),  # 0/0 at first
    Row("LDoG", layerwise_dog, {"reps_rel": 0.5, "G0": 0.0}, {"reps": 0.5, "eps": 1e-300}, lr=1.0),
]  # fmt: skip


UNITLESS: dict[str, Callable[[int], stepsize.StepSize]] = {
    "DoG": lambda power: stepsize.DoG(reps_rel=0.01, G0=0.0),
}
LENGTHS: dict[str, Callable[[float, Tensor], stepsize.StepSize]] = {
    "DoG": lambda scale, start: stepsize.DoG(
        G0=0.0, reps_rel=0.01 * scale * (1 + float(start.norm())) / (1 + scale * float(start.norm()))
    ),
}


def test_dog_by_hand() -> None:
    """f = ‖x‖²/2 from (3, 4): r̄ = 0.1 (1 + 5), G = 11 + 25: η = 0.1; then ‖x - x₀‖ = 0.5 < r̄, G = 36 + 4.5² = 7.5²."""
    by_hand(steepest.DoG, {"reps_rel": 0.1, "G0": 11.0}, dog, {"reps": 0.1, "eps": 11.0},
          Quadratic([1, 1], [3.0, 4.0]), [1.0], [(2.7, 3.6), (2.484, 3.312)])  # fmt: skip


def test_dog_distance_by_hand() -> None:
    """Constant gradient 1, ε = 0: r̄ = 0.5·(1 + 0), η = 0.5; then r̄ is still 0.5, √G = √2; then r̄ = 0.5 + 0.5/√2, √3."""
    far = 0.5 + 0.5 / sqrt(2)
    by_hand(steepest.DoG, {"reps_rel": 0.5, "G0": 0.0}, dog, {"reps": 0.5, "eps": 0.0}, Linear([0], [1]),
          [1.0], [(-0.5,), (-far,), (-far - far / sqrt(3),)])  # fmt: skip
