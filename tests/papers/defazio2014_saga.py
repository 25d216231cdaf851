"""SAGA (Defazio, Bach & Lacoste-Julien 2014, arXiv:1407.0202)."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from steepest import solve as S
from tests.solve.logistic import gradient
from tests.solve.table import N, _row, data, rows, x0

F64 = torch.float64

SOLVERS = {"SAGA": _row(lambda: S.SAGA(lr=0.3), rows, {"residual": 1e-2}, steps=600)}


def test_by_its_equations() -> None:
    random, lr = torch.Generator().manual_seed(4), 0.2
    x = x0(F64).numpy()
    table = np.stack([gradient(x, np.array([i])) for i in range(N)])
    for _ in range(30):
        i = torch.randint(N, (1,), generator=random).numpy()
        g = gradient(x, i)
        x = x - lr * (g - table[i[0]] + table.mean(0))
        table[i[0]] = g
    result = S.solve(rows(F64), S.SAGA(lr, seed=4), max_steps=30, every=100)
    assert np.allclose(result.x.numpy(), x, rtol=1e-12)
    assert result.counts["nsample"] == N + 30
    assert result.counts["njev"] == 0


def test_to_the_optimum_of_scikit_learn() -> None:
    """Mean loss plus 0.05 ‖x‖² is scikit-learn's with C = 1/(2 · 0.05 n)."""
    A, y = (t.numpy() for t in data(F64))
    theirs = LogisticRegression(C=1 / (0.1 * N), fit_intercept=False, solver="saga", tol=1e-12, max_iter=100_000).fit(
        A, y
    )
    result = S.solve(rows(F64), S.SAGA(lr=0.2), until={"residual": 1e-10}, max_steps=20_000, every=100)
    assert result.success
    assert np.allclose(result.x.numpy(), theirs.coef_[0], atol=1e-8)
