"""Mirror Sinkhorn (Ballu & Berthet 2022, arXiv:2211.10420), against numpy and against scipy's linear program."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from torch import Tensor

from steepest import solve as S
from tests.solve.table import FLAT, Form, Row

COST = np.array([[0.0, 1.0, 3.0], [2.0, 0.5, 1.0]])
A, B = np.array([0.4, 0.6]), np.array([0.3, 0.3, 0.4])


def plan(dtype: torch.dtype = torch.float64, form: Form = FLAT, f: Any = None, curve: float = 0.0) -> S.Problem:
    """A linear cost, and a square times ``curve``; with f, NaN away from the start."""
    C, a, b = (torch.from_numpy(v).to(dtype) for v in (COST, A, B))
    P0 = torch.outer(a, b)

    def cost(P: Tensor) -> Tensor:
        value = (C * P).sum() + curve * P.square().sum() / 2
        return value + torch.where((P - P0).abs().max() > 1e-6, torch.nan, 0.0) * P.sum() if f else value

    return S.Constrained(cost, P0, over=S.sets.TransportPolytope(a, b))


def spoilt() -> tuple[Any, S.Problem]:
    return S.MirrorSinkhorn(), plan(f=1)


SOLVERS = {
    "MirrorSinkhorn": Row(lambda: S.MirrorSinkhorn(0.3), plan, spoilt, {"objective": 0.65, "violation": 0.1}, steps=600,
                          trees=False),
    "MirrorSinkhorn, noise": Row(lambda: S.MirrorSinkhorn(noise=0.3, seed=3), plan, spoilt, {"objective": 0.7}, steps=600,
                                 trees=False),
}  # fmt: skip


def test_equations() -> None:
    """Seven steps against numpy: rows first, means by step sizes, and a rounding written anew."""
    P, mean, total = np.outer(A, B), np.zeros_like(COST), 0.0
    for t in range(1, 8):
        eta = 0.8 / np.sqrt(t)
        P = P * np.exp(-eta * (COST + 0.5 * P))
        P = P * (A / P.sum(1))[:, None] if t % 2 else P * (B / P.sum(0))[None]
        mean, total = mean + eta * P, total + eta
    Q = mean / total
    off = np.abs(Q.sum(1) - A).sum() + np.abs(Q.sum(0) - B).sum()
    Q = np.diag(np.minimum(A / Q.sum(1), 1)) @ Q
    Q = Q @ np.diag(np.minimum(B / Q.sum(0), 1))
    r, c = A - Q.sum(1), B - Q.sum(0)
    Q = Q + np.outer(r, c) / np.abs(r).sum()
    result = S.solve(plan(curve=0.5), S.MirrorSinkhorn(0.8), max_steps=7)
    assert np.allclose(result.x, Q, rtol=1e-11)
    assert np.isclose(result.history["violation"][-1], off, rtol=1e-9)


def test_linear_program() -> None:
    """Its value, from above, and a plan with the right sums."""
    rows = np.kron(np.eye(2), np.ones(3))
    columns = np.kron(np.ones(2), np.eye(3))
    best = linprog(COST.reshape(-1), A_eq=np.vstack([rows, columns]), b_eq=np.concatenate([A, B])).fun
    result = S.solve(plan(), S.MirrorSinkhorn(0.3), max_steps=3000, every=3000)
    assert best - 1e-12 <= result.history["objective"][-1] < best + 0.03  # as 1/√t
    assert np.allclose(result.x.sum(1), A, atol=1e-12)
    assert np.allclose(result.x.sum(0), B, atol=1e-12)
    assert (result.x >= 0).all()


def test_refused() -> None:
    """A start with a zero, another set."""
    half = torch.full((2,), 0.5)
    with pytest.raises(ValueError, match="positive"):
        S.solve(S.Constrained(torch.sum, torch.eye(2), over=S.sets.TransportPolytope(half, half)), S.MirrorSinkhorn())
    with pytest.raises(TypeError, match="TransportPolytope"):
        S.solve(S.Constrained(torch.sum, torch.eye(2), over=S.sets.Box()), S.MirrorSinkhorn())
