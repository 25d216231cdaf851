"""signSGD (Bernstein et al. 2018, arXiv:1802.04434): every coordinate by the same length."""

from __future__ import annotations

import numpy as np

import steepest
from steepest import direction as D
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Linear, Problem, Vector
from tests.rows import Hand, Row, Setting

NAN = "the sign of NaN is 0"

CONTRACT = {
    "SignSGD": Setting(
        {"lr": 0.01},
        exceptions={
            "guard_lets_nothing_in-gradient-nan-1": "the sign of NaN is 0, so there is nothing to guard",
            "guard_lets_nothing_in-gradient-inf-1": "the sign of infinity is 1, so there is nothing to guard",
            "propagate_means_what_torch_does": NAN,
        },
    ),
}


def sign_sgd(f: Problem, x: Vector, etas: Rates) -> Path:
    for t, eta in enumerate(etas, 1):
        x = x - eta * np.sign(f.grad(x, t))
        yield x


ORACLE = [
    Row("SignSGD", sign_sgd, lr=0.01),
]  # fmt: skip
HANDS = [
    # every coordinate by lr, none where g = 0
    Hand("sign", steepest.SignSGD, {}, sign_sgd, {}, Linear([1, -1], [0.3, 0], [-4, 5]), [0.1, 0.2],
         [(0.9, -1.0), (1.1, -1.2)]),
]  # fmt: skip


DIRECTIONS = {
    "sign": D.Sign,
}
SCALE_FREE = {
    "sign": D.Sign,
}
