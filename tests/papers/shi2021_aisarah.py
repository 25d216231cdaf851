"""AI-SARAH (Shi et al. 2021, arXiv:2102.09700)."""

from __future__ import annotations

import numpy as np
import torch

from steepest import solve as S
from tests.solve.logistic import Vector, gradient
from tests.solve.table import N, _row, data, rows, x0

F64 = torch.float64

SOLVERS = {"AISARAH": _row(lambda: S.AISARAH(batch=4), rows, {"residual": 1e-2})}


def along(x: Vector, v: Vector, i: Vector) -> tuple[Vector, Vector]:
    """The first two derivatives of the gradient along v, by hand: with s = σ(-z), s' = -s(1 - s), s'' = s(1 - s)(1 - 2s)."""
    A, y = (t.numpy()[i] for t in data(F64))
    s, u = 1 / (1 + np.exp(y * (A @ x))), A @ v
    return A.T @ (s * (1 - s) * u) / len(i) + 0.1 * v, A.T @ (-y * s * (1 - s) * (1 - 2 * s) * u * u) / len(i)


def test_by_its_equations() -> None:
    random, beta, gamma = torch.Generator().manual_seed(4), 0.9, 0.3
    x, delta, loops, steps = x0(F64).numpy(), None, 0, 40
    while steps:
        v, loops = gradient(x), loops + 1
        first = v @ v
        while steps and v @ v >= gamma * first:
            i = torch.randint(N, (4,), generator=random).numpy()
            Hv, Tvv = along(x, v, i)
            newton = (v @ Hv) / abs(Hv @ Hv + v @ Tvv)
            a = newton if delta is None else min(newton, 1 / delta)
            delta = 1 / newton if delta is None else beta * delta + (1 - beta) / newton
            new = x - a * v
            v, x, steps = gradient(new, i) - gradient(x, i) + v, new, steps - 1
    result = S.solve(rows(F64), S.AISARAH(batch=4, beta=beta, gamma=gamma, seed=4), max_steps=40, every=100)
    assert np.allclose(result.x.numpy(), x, rtol=1e-10)
    assert (result.counts["njev"], result.counts["nsample"]) == (loops, 40 * 4 * 4)
    assert loops > 3


def test_derivatives_along_by_hand() -> None:
    """f = (x₁x₂² + x₁)/1 at (2, 3) along (1, 1): ∇f = (10, 12), H = [[0, 6], [6, 4]], ∇³f[v, v] = (2, 4)."""
    problem = S.FiniteSum(lambda x, i: (x[0] * x[1] ** 2 + x[0]).expand(len(i)), torch.tensor([2.0, 3.0]).double(), 3)
    got = problem.grad_along(problem.start, torch.ones(2).double(), torch.arange(2))
    assert [t.tolist() for t in got] == [[10, 12], [6, 10], [2, 4]]
    assert problem.counts.nsample == 6
    flat = S.FiniteSum(lambda x, i: x.sum().expand(len(i)), torch.ones(2), 3)
    assert [t.tolist() for t in flat.grad_along(flat.start, torch.ones(2), torch.arange(2))] == [[1, 1], [0, 0], [0, 0]]
