"""Matrices of low rank that are planted, seen by Gaussian sums, and how far a run is from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from steepest import solve


def planted(n: int, eigenvalues: Sequence[float], seed: int) -> Tensor:
    """A symmetric positive semidefinite n × n matrix with these eigenvalues, and zeros."""
    random = torch.Generator().manual_seed(seed)
    U = torch.linalg.qr(torch.randn(n, len(eigenvalues), generator=random, dtype=torch.float64))[0]
    M: Tensor = U @ torch.diag(torch.tensor(list(eigenvalues), dtype=torch.float64)) @ U.T
    return M


def gaussian(n: int, m: int, seed: int) -> Tensor:
    """M weights, m × n × n, whose sums keep the norm of a matrix on average."""
    random = torch.Generator().manual_seed(1000 + seed)
    weights: Tensor = torch.randn(m, n, n, generator=random, dtype=torch.float64) / m**0.5
    return weights


def small(n: int, k: int, scale: float, seed: int) -> Tensor:
    """A start: n × k Gaussian numbers times ``scale``."""
    random = torch.Generator().manual_seed(2000 + seed)
    return scale * torch.randn(n, k, generator=random, dtype=torch.float64)


def distances(problem: solve.Observed, solver: Any, M: Tensor, steps: int, every: int = 1, enough: float = 0.0,
              ) -> tuple[list[int], list[float]]:  # fmt: skip
    """Steps, and ‖X Xᵀ - M‖ relative to ‖M‖ there; the run ends below ``enough``."""
    at: list[int] = []
    far: list[float] = []

    def watch(now: Any) -> bool:
        X, Y = problem.factors(now.state["values"]["x"])
        at.append(now.steps)
        far.append(min(float((X @ Y.T - M).norm() / M.norm()), 1e300))
        return far[-1] <= enough

    solve.solve(problem, solver, max_steps=steps, every=every, callback=watch)
    return at, far
