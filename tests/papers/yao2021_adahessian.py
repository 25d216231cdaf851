"""AdaHessian (Yao et al. 2021, arXiv:2006.00719): Adam with the averaged diagonal of the Hessian."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

import steepest
from steepest import direction, oracle, point
from tests.oracle.curved import COUPLED, PHASE, TWICE, Coupled, Drawn, bekas, drawn
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Vector, join
from tests.rows import Row, Setting

CONTRACT = {
    "AdaHessian": Setting(
        {"lr": 0.03, "eps": 0.01, "weight_decay": 0.1},
        shaped="the kernel of a convolution is averaged",
        root=True,
        exceptions=TWICE | PHASE,
    )
}


def spatial(f: Coupled, D: Vector, kernels: bool, block: int, absolute: bool) -> Vector:
    """arXiv:2006.00719, Section 3.2: the mean over a kernel, or over b neighbours in a row."""
    kernel, matrix, vector = f.parts(D)
    size = np.abs if absolute else np.asarray
    if kernels:
        kernel = size(kernel).mean(2, keepdims=True) * np.ones(3)
    if block > 1:
        rows = [[np.mean(size(row[k // block * block : (k // block + 1) * block])) for k in range(4)] for row in matrix]
        matrix = np.array(rows)
    return join([kernel, matrix, vector])


def adahessian(f: Coupled, x: Vector, etas: Rates, z: Drawn, b1: float, b2: float, eps: float, k: float, lam: float,
               n: int = 1, kernels: bool = True, block: int = 1, absolute: bool = False) -> Path:  # fmt: skip
    """arXiv:2006.00719, Algorithm 1, with decoupled decay; D is renewed every n steps."""
    m, v, D = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
    for t, lr in enumerate(etas, 1):
        if (t - 1) % n == 0:
            D = spatial(f, bekas(f, x, t, z), kernels, block, absolute)
        m = b1 * m + (1 - b1) * f.grad(x, t)
        v = b2 * v + (1 - b2) * D * D
        x = x - lr * lam * x - lr * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) ** k + eps)
        yield x


def adahessian_under_sam(params: Any, **options: Any) -> steepest.Optimizer:
    """A radius of 0, asked twice: the curvature is bought once."""
    return steepest.Optimizer(params, direction=direction.AdaHessian(beta1=0.8, beta2=0.9, eps=0.1),
                              oracle=oracle.Hutchinson(), point=point.SAM(rho=0.0), **options)  # fmt: skip


B: dict[str, Any] = {"betas": (0.8, 0.9), "weight_decay": 0.1}
BT: dict[str, Any] = {"b1": 0.8, "b2": 0.9, "lam": 0.1}
ADA: dict[str, Any] = {"make": "AdaHessian", "paper": adahessian, "on": COUPLED}

ORACLE = [
    Row(**ADA, hyper={**B, "eps": 0.1}, terms={**BT, "eps": 0.1, "k": 1.0, "z": partial(drawn, 0)}),
    Row(**ADA, hyper={**B, "eps": 0.01, "power": 0.5, "every": 3, "block": 3, "seed": 5},
        terms={**BT, "eps": 0.01, "k": 0.5, "n": 3, "block": 3, "z": partial(drawn, 5)}),
    Row(**ADA, hyper={**B, "eps": 0.1, "absolute": True, "block": 2},
        terms={**BT, "eps": 0.1, "k": 1.0, "absolute": True, "block": 2, "z": partial(drawn, 0)}),
    Row(**ADA, hyper={**B, "eps": 0.1, "kernels": False},
        terms={**BT, "eps": 0.1, "k": 1.0, "kernels": False, "z": partial(drawn, 0)}),
    Row(adahessian_under_sam, adahessian, terms={"b1": 0.8, "b2": 0.9, "lam": 0.0, "eps": 0.1, "k": 1.0, "kernels": False,
        "z": partial(drawn, 0)}, on=COUPLED),
]  # fmt: skip
