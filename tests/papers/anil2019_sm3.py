"""SM3-II (Anil et al. 2019, arXiv:1901.11150): second moments of slices along each dimension."""

from __future__ import annotations

import numpy as np

from tests.oracle.equations import Path, Rates
from tests.oracle.problems import SHAPES, Problem, Vector, join
from tests.rows import Row, Setting

CONTRACT = {
    "SM3": Setting(
        {"lr": 0.2, "momentum": 0.5},
        shaped="a number of state belongs to a row or column",
    )
}


def covers(shape: tuple[int, ...]) -> list[Vector]:
    """The slices of a tensor along each of its dimensions, as masks (arXiv:1901.11150, section 4)."""
    at = np.indices(shape)
    return [at[r] == k for r in range(len(shape)) for k in range(shape[r])] or [np.array(True)]


def sm3(f: Problem, x: Vector, etas: Rates, beta: float = 0.0) -> Path:
    """Algorithm SM3-II, with the average of the experiments."""
    S = [covers(X.shape) for X in f.parts(x)]
    mu = [[0.0] * len(sets) for sets in S]
    m = [np.zeros(X.shape) for X in f.parts(x)]
    for t, eta in enumerate(etas, 1):
        new = []
        for k, (X, G) in enumerate(zip(f.parts(x), f.parts(f.grad(x, t)), strict=True)):
            nu = np.full(X.shape, np.inf)
            for r, mask in enumerate(S[k]):
                nu = np.where(mask, np.minimum(nu, mu[k][r]), nu)
            nu = nu + G**2
            mu[k] = [float(nu[mask].max()) for mask in S[k]]
            step = np.divide(G, np.sqrt(nu), out=np.zeros(X.shape), where=nu > 0)
            m[k] = beta * m[k] + (1 - beta) * step
            new.append(X - eta * m[k])
        x = join(new)
        yield x


ORACLE = [
    Row("SM3", sm3, lr=0.3),
    Row("SM3", sm3, {"momentum": 0.8}, {"beta": 0.8}, lr=0.3),
]  # fmt: skip
EDGES = [Row("SM3", sm3, on=SHAPES)]
