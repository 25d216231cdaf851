"""AMSGrad (Reddi et al. 2018, arXiv:1904.09237): a second moment that never falls."""

from __future__ import annotations

from math import sqrt

import numpy as np
import torch

import steepest
from steepest import direction as D
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Linear, Problem, Vector
from tests.rows import B, Hand, Pair, Row, Setting

CONTRACT = {
    "AMSGrad": Setting({"lr": 0.03, "weight_decay": 0.1}, root=True),
}


def amsgrad(f: Problem, x: Vector, etas: Rates, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8,
            lam: float = 0.0, corrects: bool = True) -> Path:  # fmt: skip
    m = v = top = 0 * x
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t) + lam * x
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        top = np.maximum(top, v)  # of the uncorrected v
        mh, vh = (m / (1 - b1**t), top / (1 - b2**t)) if corrects else (m, top)
        x = x - eta * mh / (np.sqrt(vh) + eps)
        yield x


ORACLE = [
    Row("AMSGrad", amsgrad, {"betas": (0.8, 0.9), "weight_decay": 0.1}, {**B, "lam": 0.1}, lr=0.03),
    Row("AMSGrad", amsgrad, {"betas": (0.8, 0.9), "bias_correction": False, "eps": 1e-5},
        {**B, "corrects": False, "eps": 1e-5}, lr=0.03),
]  # fmt: skip
HANDS = [
    # m = (2, 0), (1, -4); v = (4, 0), (3, 16), its maximum (4, 16): d = (2/(2+2), 0), then (1/(2+2), -4/(4+2))
    Hand("AMSGrad as printed", steepest.AMSGrad, {"betas": (0.5, 0.75), "eps": 2.0, "bias_correction": False},
         amsgrad, {"b1": 0.5, "b2": 0.75, "eps": 2.0, "corrects": False}, Linear([1, 1], [4, 0], [0, -8]),
         [0.3, 0.6], [(0.85, 1.0), (0.7, 1.4)]),
    # corrected: m̂₁ = 4, √(4/¼) = 4; m̂₂ = m₂/(3/4), the maximum over 7/16: √(64/7), √(256/7)
    Hand("AMSGrad as in torch", steepest.AMSGrad, {"betas": (0.5, 0.75), "eps": 2.0}, amsgrad,
         {"b1": 0.5, "b2": 0.75, "eps": 2.0}, Linear([1, 1], [4, 0], [0, -8]), [0.3, 0.6],
         [(0.8, 1.0), (0.8 - 0.6 * (4 / 3) / (8 / sqrt(7) + 2), 1 + 0.6 * (16 / 3) / (16 / sqrt(7) + 2))]),
]  # fmt: skip
TORCH = [
    Pair(steepest.AMSGrad, torch.optim.Adam, {"lr": 0.03, "betas": (0.7, 0.9), "weight_decay": 0.1}, {"amsgrad": True}),
    Pair(steepest.AMSGrad, torch.optim.Adam, {"lr": 0.03, "eps": 1e-4, "maximize": True}, {"amsgrad": True}),
]


DIRECTIONS = {
    "AMSGrad": D.AMSGrad,
}
SCALE_FREE = {
    "AMSGrad": lambda: D.AMSGrad(eps=0.0),
}
COLLAPSES = {
    "AMSGrad with β₂ = 0 and g growing is Adam": (D.AMSGrad(beta2=0.0), D.Adam(beta2=0.0)),
}
