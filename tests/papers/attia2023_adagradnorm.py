"""AdaGrad-Norm (Ward et al. 2019), and noise that grows with the gradient (Attia & Koren 2023, arXiv:2302.08783)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import steepest
from steepest import oracle, stepsize
from steepest.core.draws import normal, seed_of
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Linear, Problem, Vector, join
from tests.rows import NEVER_FORGETS, PIECES, SUM, Row, Setting

CONTRACT = {
    "AdaGradNorm": Setting(
        {"lr": 0.3, "weight_decay": 0.1},
        whole=SUM,
        loose={"lifts_agree": PIECES},
        unguarded={"exploding-0": NEVER_FORGETS, "exploding-5": NEVER_FORGETS},
    ),
}


def noisy(params: Any, **options: Any) -> steepest.Optimizer:
    """Plain descent on a noisy oracle."""
    return steepest.Optimizer(params, oracle=oracle.AffineNoise(additive=0.3, relative=0.6, seed=7), **options)


def adagrad_norm(f: Problem, x: Vector, etas: Rates, b0: float = 1e-8, lam: float = 0.0, alone: bool = False) -> Path:
    """One b for all, or one for each tensor."""
    squares = [b0**2] * len(f.start)
    for t, eta in enumerate(etas, 1):
        parts = f.parts(f.grad(x, t) + lam * x)
        added = [float((g * g).sum()) for g in parts]
        squares = [b + (a if alone else sum(added)) for b, a in zip(squares, added, strict=True)]
        x = x - join([eta / math.sqrt(b) * g if b > 0 else 0 * g for b, g in zip(squares, parts, strict=True)])
        yield x


def affine_noise(f: Problem, x: Vector, etas: Rates, s0: float, s1: float) -> Path:
    """arXiv:2302.08783: variance s₀² + s₁²‖g‖² in all; random numbers are taken from where the library has them."""
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t)
        z = [
            join([normal(seed_of(7, t, 0, k), i, torch.from_numpy(p)).numpy() for i, p in enumerate(f.start)])
            for k in (0, 1)
        ]
        x = x - eta * (g + (s0 * z[0] + s1 * np.sqrt(g @ g) * z[1]) / np.sqrt(g.size))
        yield x


ORACLE = [
    Row("AdaGradNorm", adagrad_norm, {"b0": 0.2, "weight_decay": 0.1}, {"b0": 0.2, "lam": 0.1}, lr=0.5),
    Row("AdaGradNorm", adagrad_norm, {"per": "tensor"}, {"alone": True}, lr=0.5),
    Row(noisy, affine_noise, terms={"s0": 0.3, "s1": 0.6}),
]  # fmt: skip
EDGES = [
    Row("AdaGradNorm", adagrad_norm, {"b0": 0.0}, {"b0": 0.0}, lr=0.5, on=Linear([1.0], [0.0], [2.0])),  # 0/0
]  # fmt: skip


UNITLESS: dict[str, Callable[[int], stepsize.StepSize]] = {
    "AdaGrad-Norm": lambda power: stepsize.AdaGradNorm(b0=0.5 * 2.0**power),
}
