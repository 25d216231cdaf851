"""Variance-reduced Halpern: the last point's operator norm by evaluations of single components.

A linear system that is the mean of n cocoercive components, (aᵢᵀu - bᵢ) aᵢ, with eigenvalues spread evenly in logarithm, so
that 1/k is the rate. Cost is counted in evaluations of components. Control: the same iteration by whole values.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from steepest import solve
from steepest.claims.lab.base import Bound, Claim, Lines, Measured, Source
from steepest.claims.lab.rates import slope

D = 10


def system(n: int, seed: int) -> tuple[solve.VariationalInequality, float]:
    """The problem, and L: F is 1/L cocoercive on average."""
    random = torch.Generator().manual_seed(seed)
    A = torch.randn(n, D, generator=random, dtype=torch.float64) * torch.logspace(-2, 0, D, dtype=torch.float64)
    b = torch.randn(n, generator=random, dtype=torch.float64)
    u = A @ torch.randn(D, generator=random, dtype=torch.float64) / torch.logspace(-2, 0, D, dtype=torch.float64).norm()
    b = u + 0.1 * b

    def operator(z: Tensor, i: Tensor) -> Tensor:
        rows = A[i]
        value: Tensor = rows.T @ (rows @ z - b[i]) / len(i)
        return value

    # E‖Fᵢ(u) - Fᵢ(v)‖² = (u - v)ᵀ E[‖a‖² a aᵀ] (u - v) ≤ L ⟨F(u) - F(v), u - v⟩
    fourth = (A * A.square().sum(1, keepdim=True)).T @ A / n
    C = torch.linalg.cholesky(A.T @ A / n)
    inner = torch.linalg.solve_triangular(C, torch.linalg.solve_triangular(C, fourth, upper=False).T, upper=False)
    start = torch.full((D,), 3.0, dtype=torch.float64)
    return solve.VariationalInequality(operator, start, n=n), float(torch.linalg.eigvalsh(inner).max())


def descend(n: int, seed: int, passes: int, reduced: bool) -> tuple[list[float], list[float]]:
    """Evaluations in passes over the components, and ‖F‖ there relative to the start."""
    problem, L = system(n, seed)
    at: list[float] = []

    def watch(now: Any) -> bool:
        at.append((now.counts["njev"] * n + now.counts["nsample"]) / n)
        return at[-1] >= passes

    result = solve.solve(problem, solve.Halpern(lr=1 / (4 * L), variance_reduced=reduced, seed=seed), max_steps=100_000,
                         every=20 if reduced else 2, callback=watch)  # fmt: skip
    r = result.history["residual"]
    return at, [v / r[0] for v in r]


def passes(fast: bool, control: bool) -> Measured:
    """Equal evaluations."""
    n, seeds, budget = (400, 1, 60) if fast else (4000, 5, 200)
    ours = [descend(n, s, budget, not control) for s in range(seeds)]
    whole = [descend(n, s, budget, False) for s in range(seeds)]
    ratios = [a[1][-1] / b[1][-1] for a, b in zip(ours, whole, strict=True)]
    slopes = [slope(x, y, begin=budget / 10) for x, y in ours]
    numbers = {"ratio": max(ratios), "slope": max(slopes)}
    curves: Any = {}
    for name, runs in (("variance reduced", ours), ("whole values", whole)):
        curves[name] = (runs[0][0][1:], [runs[0][1][1:]])
    return Measured(numbers, [Lines("last point", "passes over the components", "‖F(u)‖ relative", curves, log="xy")])


CLAIMS = (
    Claim(
        name="halpern-variance-reduced",
        sentence="Variance-reduced Halpern iteration reaches an operator norm of ε at its last point in Õ(n + √n L/ε) "
        "evaluations, up to √n times fewer than without.",
        source=Source("cai2024variance", "abstract"),
        methods=("Halpern",),
        rows=("002-39",),
        bounds=(
            Bound("ratio", "≤", 0.5, "‖F‖ after 200 passes relative to Halpern's by whole values, worst seed"),
            Bound("slope", "≤", -0.8, "slope of log ‖F‖ by log evaluations over the last factor 10, worst seed"),
        ),
        experiment=passes,
        control="whole values in the place of the estimator",
        seeds=5,
        minutes=1.0,
        untested="The paper's constants (its λ, p and batch were not at hand: this is in its spirit); monotone Lipschitz "
        "operators; how the gain grows with n.",
    ),
)
