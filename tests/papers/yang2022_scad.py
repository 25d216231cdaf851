"""Accelerated gradient with damping for SCAD and MCP (Yang, Asgharian & Bhatnagar 2022, arXiv:2009.10629)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from steepest import solve as S
from steepest.solve import inner
from tests.solve.table import Row, ball, data, lasso, mean, spoiled

SOLVERS = {
    "DampedAcceleration": Row(lambda: S.DampedAcceleration(0.5), lasso,
                              lambda: (S.DampedAcceleration(0.5), lasso(torch.float64, f=spoiled(mean))), {"residual": 1e-4}),
    "DampedAcceleration, set": Row(lambda: S.DampedAcceleration(0.5), ball,
                                   lambda: (S.DampedAcceleration(0.5), ball(torch.float64, f=spoiled(mean))),
                                   {"residual": 1e-4}),
}  # fmt: skip


def soft(v: np.ndarray, by: float) -> np.ndarray:
    return np.asarray(np.sign(v) * np.maximum(np.abs(v) - by, 0))


def scad_slope(v: np.ndarray, lam: float, a: float) -> np.ndarray:
    """The derivative of SCAD as Fan and Li give it, less that of λ|x|."""
    size = np.abs(v)
    whole = np.where(size <= lam, lam, np.maximum(a * lam - size, 0) / (a - 1))
    return np.asarray(np.sign(v) * (whole - lam))


def test_equations() -> None:
    """Twelve steps on a linear model with SCAD against numpy."""
    A, y = (t.numpy() for t in data(torch.float64))
    lam, a, beta = 0.2, 3.0, 0.1
    x = z = np.array([2.0, -0.5, 0.1, 0.3, -1.0])
    start, alpha = x, 1.0
    for _ in range(12):
        md = alpha * z + (1 - alpha) * x
        g = A.T @ (A @ md - y) / len(y) + scad_slope(md, lam, a)
        z = soft(z - beta / alpha * g, beta / alpha * lam)
        x = soft(md - beta * g, beta * lam)
        alpha = 2 / (1 + np.sqrt(1 + 4 / alpha**2))
    B, b = torch.from_numpy(A), torch.from_numpy(y)

    def f(v: Tensor) -> Tensor:
        return (B @ v - b).square().mean() / 2 + S.scad(v, lam, a)

    problem = S.Composite(f, lambda v: lam * v.abs().sum(), lambda v, step: inner.soft_threshold(v, lam * step),
                          torch.from_numpy(start))  # fmt: skip
    assert np.allclose(S.solve(problem, S.DampedAcceleration(beta), max_steps=12).x, x, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("at", [0.1, 0.5, 0.99, 1.5, 2.9, 3.1, 20.0])
def test_penalties_have_their_slopes(at: float) -> None:
    """λ|x| plus the concave part is SCAD (MCP) by its derivative, and flat in the end."""
    x = torch.tensor([at, -at], dtype=torch.float64, requires_grad=True)
    (g,) = torch.autograd.grad(S.scad(x, 1.0, 3.0), x)
    assert np.allclose(g, scad_slope(x.detach().numpy(), 1.0, 3.0))
    (g,) = torch.autograd.grad(S.mcp(x, 1.0, 3.0), x)
    assert np.allclose(g, torch.sign(x.detach()) * (max(1 - at / 3, 0) - 1))
