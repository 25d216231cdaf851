"""NovoGrad (Ginsburg et al. 2019, arXiv:1905.11286): one second moment a tensor."""

from __future__ import annotations

import numpy as np

from tests.oracle.equations import Path, Rates
from tests.oracle.problems import SHAPES, Problem, Vector, join
from tests.rows import Row, Setting

CONTRACT = {
    "NovoGrad": Setting(
        {"lr": 0.01, "weight_decay": 0.1},
    )
}


def novograd(f: Problem, x: Vector, etas: Rates, b1: float = 0.95, b2: float = 0.98, eps: float = 1e-8, d: float = 0.0,
             averaging: bool = False) -> Path:  # fmt: skip
    """arXiv:1905.11286, Algorithm 1, with ε in the first step, too."""
    v: list[float] = []
    m = [np.zeros(X.shape) for X in f.parts(x)]
    for t, eta in enumerate(etas, 1):
        W, g = f.parts(x), f.parts(f.grad(x, t))
        squares = [float((G**2).sum()) for G in g]
        v = squares if t == 1 else [b2 * old + (1 - b2) * now for old, now in zip(v, squares, strict=True)]
        fresh = 1 - b1 if averaging else 1.0
        m = [b1 * M + fresh * (G / (np.sqrt(n) + eps) + d * X) for M, G, n, X in zip(m, g, v, W, strict=True)]
        x = join([X - eta * M for X, M in zip(W, m, strict=True)])
        yield x


ORACLE = [
    Row("NovoGrad", novograd, {"betas": (0.8, 0.9), "weight_decay": 0.1}, {"b1": 0.8, "b2": 0.9, "d": 0.1}, lr=0.02),
    Row("NovoGrad", novograd, {"eps": 0.1, "averaging": True}, {"eps": 0.1, "averaging": True}, lr=0.1),
]  # fmt: skip
EDGES = [Row("NovoGrad", novograd, on=SHAPES)]
