"""AdaGrad (Duchi, Hazan & Singer 2011), in its diagonal form."""

from __future__ import annotations

import numpy as np
import torch

import steepest
from steepest import direction as D
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Problem, Vector
from tests.rows import Pair, Row, Setting

CONTRACT = {
    "AdaGrad": Setting({"lr": 0.2, "weight_decay": 0.1, "lr_decay": 0.01, "initial_accumulator_value": 0.1}, root=True)
}


def adagrad(f: Problem, x: Vector, etas: Rates, delta: float = 1e-10, kappa: float = 0.0, start: float = 0.0,
            lam: float = 0.0) -> Path:  # fmt: skip
    """Figure 1; κ and the start are torch's."""
    squares = []
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t) + lam * x
        squares.append(g**2)
        H = delta + np.sqrt(start + np.sum(squares, axis=0))
        x = x - eta / (1 + kappa * (t - 1)) * g / H
        yield x


ORACLE = [
    Row("AdaGrad", adagrad, {"eps": 1e-3, "weight_decay": 0.1}, {"delta": 1e-3, "lam": 0.1}),
    Row("AdaGrad", adagrad, {"lr_decay": 0.2, "initial_accumulator_value": 0.1}, {"kappa": 0.2, "start": 0.1}),
]
TORCH = [
    Pair(steepest.AdaGrad, torch.optim.Adagrad, {"lr": 0.3}),
    Pair(steepest.AdaGrad, torch.optim.Adagrad, {"lr": 0.3, "lr_decay": 0.1, "eps": 1e-3, "weight_decay": 0.1}),
    Pair(steepest.AdaGrad, torch.optim.Adagrad, {"lr": 0.3, "initial_accumulator_value": 0.2, "maximize": True}),
]

DIRECTIONS = {"AdaGrad": D.AdaGrad}
SCALE_FREE = {"AdaGrad": lambda: D.AdaGrad(eps=0.0)}
