"""SARAH and SARAH+ (Nguyen, Liu, Scheinberg & Takáč 2017, arXiv:1703.00102)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from steepest import solve as S
from tests.solve.logistic import gradient
from tests.solve.table import N, _row, rows, x0

F64 = torch.float64

SOLVERS = {
    "SARAH": _row(lambda: S.SARAH(lr=0.3, batch=2, period=7), rows, {"residual": 1e-2}),
    "SARAH, plus": _row(lambda: S.SARAH(lr=0.3, batch=2, gamma=0.125), rows, {"residual": 1e-2}),
}


@pytest.mark.parametrize("gamma", [0.0, 0.7])
def test_by_its_equations(gamma: float) -> None:
    random, lr, steps, loops = torch.Generator().manual_seed(4), 0.4, 40, 0
    x = x0(F64).numpy()
    while steps:
        v, loops = gradient(x), loops + 1
        first = v @ v
        x, before, steps = x - lr * v, x, steps - 1
        for _ in range(7 - 1):
            if not steps or v @ v <= gamma * first:
                break
            i = torch.randint(N, (2,), generator=random).numpy()
            v = gradient(x, i) - gradient(before, i) + v
            x, before, steps = x - lr * v, x, steps - 1
    result = S.solve(rows(F64), S.SARAH(lr, batch=2, period=7, gamma=gamma, seed=4), max_steps=40, every=100)
    assert np.allclose(result.x.numpy(), x, rtol=1e-12)
    assert result.counts["njev"] == loops
    assert result.counts["nsample"] == 4 * (40 - loops)
    assert (loops > 6) == (gamma > 0)
