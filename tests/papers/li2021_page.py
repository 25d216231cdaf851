"""PAGE (Li, Bao, Zhang & Richtárik 2021, arXiv:2008.10898)."""

from __future__ import annotations

import numpy as np
import torch

from steepest import solve as S
from tests.solve.logistic import gradient
from tests.solve.table import N, _row, rows, x0

F64 = torch.float64

SOLVERS = {"PAGE": _row(lambda: S.PAGE(lr=0.3), rows, {"residual": 1e-2})}


def test_by_its_equations() -> None:
    random, lr, whole = torch.Generator().manual_seed(4), 0.4, 1
    x = x0(F64).numpy()
    g = gradient(x)
    for _ in range(30):
        new = x - lr * g
        if float(torch.rand((), generator=random)) < 3 / (N + 3):
            g, whole = gradient(new), whole + 1
        else:
            i = torch.randint(N, (3,), generator=random).numpy()
            g = g + gradient(new, i) - gradient(x, i)
        x = new
    result = S.solve(rows(F64), S.PAGE(lr, batch=3, seed=4), max_steps=30, every=100)
    assert np.allclose(result.x.numpy(), x, rtol=1e-12)
    assert result.counts["njev"] == whole
    assert result.counts["nsample"] == 6 * (31 - whole)


def test_always_all_is_gradient_descent() -> None:
    page = S.solve(rows(F64), S.PAGE(0.3, p=1.0), max_steps=20)
    assert torch.equal(page.x, S.solve(rows(F64), S.GradientDescent(lr=0.3), max_steps=20).x)
