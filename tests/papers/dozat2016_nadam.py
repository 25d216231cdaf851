"""NAdam (Dozat 2016), as torch.optim.NAdam has it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import steepest
from steepest import direction as D
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Linear, Problem, Vector
from tests.rows import MOST, MOST_TERMS, TWO, B, Hand, Pair, Row, Setting

CONTRACT = {
    "NAdam": Setting({"lr": 0.03, "weight_decay": 0.1}, root=True),
}


def nadam(f: Problem, x: Vector, etas: Rates, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, psi: float = 4e-3,
          lam: float = 0.0) -> Path:  # fmt: skip
    m, v, prod = 0 * x, 0 * x, 1.0
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t) + lam * x
        mu, mu_next = (b1 * (1 - 0.96 ** (i * psi) / 2) for i in (t, t + 1))
        m, v, prod = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2, prod * mu  # torch: b1 and not mu in m
        mh = mu_next * m / (1 - prod * mu_next) + (1 - mu) * g / (1 - prod)
        x = x - eta * mh / (np.sqrt(v / (1 - b2**t)) + eps)
        yield x


class NAdam64(torch.optim.NAdam):
    """torch's, with the product of its momenta in float64: it keeps it in the default type, seven digits."""

    def step(self, closure: Any = None) -> Any:
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        try:
            return super().step(closure)
        finally:
            torch.set_default_dtype(before)


ORACLE = [
    Row("NAdam", nadam, {"betas": (0.8, 0.9), "weight_decay": 0.1}, {**B, "lam": 0.1}, lr=0.03),
    Row("NAdam", nadam, {"betas": (0.9, 0.99), "eps": 1e-3, "momentum_decay": 3.0},
        {"b1": 0.9, "b2": 0.99, "eps": 1e-3, "psi": 3.0}, lr=0.03),  # the momentum rises within the run
]  # fmt: skip
HANDS = [
    # ψ = 0: μ = 1/4 throughout, Πμ = 1/4, 1/16, 1/64: μm/(1 - Πμ) + (1-μ)g/(1 - Πμ) is (1/8)/(15/16) g + g = (17/15) g,
    # then (16/63) m₂ + (4/5) g₂ with m₂ = (-0.25, -1.5); both over |g| + 1 = (2, 3)
    Hand("NAdam", steepest.NAdam, {**MOST, "momentum_decay": 0.0}, nadam, {**MOST_TERMS, "psi": 0.0},
         Linear([1, -1], *TWO), [0.3, 0.6],
         [(0.83, -1 + 10.2 / 45), (0.83 + 0.3 * (4 / 63 + 0.8), -1 + 10.2 / 45 + 0.2 * (24 / 63 + 1.6))]),
]  # fmt: skip
TORCH = [
    Pair(steepest.NAdam, NAdam64, {"lr": 0.03}),
    Pair(steepest.NAdam, NAdam64, {"lr": 0.03, "betas": (0.7, 0.9), "momentum_decay": 0.5, "weight_decay": 0.1}),
    Pair(steepest.NAdam, NAdam64, {"lr": 0.03, "betas": (0.0, 0.9), "maximize": True}),
]


DIRECTIONS = {
    "NAdam": D.NAdam,
}
SCALE_FREE = {
    "NAdam": lambda: D.NAdam(eps=0.0),
}
COLLAPSES = {
    "NAdam without momentum looks nowhere ahead": (D.NAdam(beta1=0.0), D.Adam(beta1=0.0)),
}
