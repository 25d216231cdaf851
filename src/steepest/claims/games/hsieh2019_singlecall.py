"""One value of the operator a step is enough: averages fall as 1/t, and with noise so does the last point's squared distance.

The first game is bilinear, x'Ay with singular values of A spread evenly in logarithm from 0.01 to 1, so that the last point
converges slowly, and the gap over unit balls of the average is ‖A'x̄‖ + ‖Aȳ‖. The second is strongly monotone, the mean over
samples that differ, with one sample a step. Controls: descent-ascent, which is what is left without the look ahead; a constant
step.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from steepest import solve
from steepest.claims.lab.base import Bound, Claim, Lines, Measured, Source
from steepest.claims.lab.rates import slope

SCHEMES = ("past", "optimistic", "reflected")
SAMPLES = 200


def bilinear(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """A, and a start of length 1 for both players."""
    random = torch.Generator().manual_seed(seed)
    u, _, v = torch.linalg.svd(torch.randn(n, n, generator=random, dtype=torch.float64))
    A = u @ torch.diag(torch.logspace(-2, 0, n, dtype=torch.float64)) @ v
    return A, torch.nn.functional.normalize(torch.randn(2, n, generator=random, dtype=torch.float64), dim=1)


def ergodic(fast: bool, control: bool) -> Measured:
    """The gap of the average, by steps."""
    steps, n = (400, 20) if fast else (8000, 20)
    A, start = bilinear(n, 0)
    numbers: dict[str, float] = {}
    curves: Any = {}
    for scheme in SCHEMES:
        at: list[float] = []
        gaps: list[float] = []

        def watch(now: Any, at: list[float] = at, gaps: list[float] = gaps) -> None:
            x, y = now.state["values"]["mean"].split(n)
            at.append(float(now.steps))
            gaps.append(min(float((A.T @ x).norm() + (A @ y).norm()), 1e300))

        problem = solve.VariationalInequality(lambda z: torch.stack([A @ z[1], -A.T @ z[0]]), start)
        solver = solve.SingleCall(lr=0.3, scheme=scheme, ahead=1.0)
        if control:  # the look ahead is so short that it is none
            solver = solve.SingleCall(lr=0.3, ahead=1e-9)
        result = solve.solve(problem, solver, max_steps=steps, every=steps // 80, callback=watch)
        numbers[f"slope_{scheme}"] = slope(at, gaps, begin=steps / 40)
        numbers[f"calls_{scheme}"] = result.counts["njev"] / steps
        curves[scheme] = (at[1:], [gaps[1:]])
    numbers["slope"] = max(numbers[f"slope_{scheme}"] for scheme in SCHEMES)
    numbers["calls"] = max(numbers[f"calls_{scheme}"] for scheme in SCHEMES)
    return Measured(numbers, [Lines("the average's gap", "steps", "gap over unit balls", curves, log="xy")])


def noisy(seed: int) -> tuple[solve.VariationalInequality, Tensor]:
    """M z + s with symmetric part 1, as a mean over samples of (M + Mᵢ) z + s + sᵢ, and its solution."""
    random = torch.Generator().manual_seed(seed)
    d = 10
    skew = torch.randn(d, d, generator=random, dtype=torch.float64) / d**0.5
    M = torch.eye(d, dtype=torch.float64) + skew - skew.T
    parts = torch.randn(SAMPLES, d, d, generator=random, dtype=torch.float64) / d
    shifts = torch.randn(SAMPLES, d, generator=random, dtype=torch.float64)
    parts, shifts = parts - parts.mean(0) + M, shifts
    problem = solve.VariationalInequality(lambda z, i: (parts[i] @ z + shifts[i]).mean(0),
                                          torch.ones(d, dtype=torch.float64), n=SAMPLES)  # fmt: skip
    return problem, torch.linalg.solve(M, -shifts.mean(0))


def stochastic(fast: bool, control: bool) -> Measured:
    """Squared distance of the last point, mean over seeds; γ_t = 2/(t + 40), constant in the control."""
    steps, seeds = (400, 2) if fast else (6000, 10)
    numbers: dict[str, float] = {}
    curves: Any = {}
    for scheme in SCHEMES:
        rows = []
        for seed in range(seeds):
            problem, solution = noisy(seed)
            far: list[float] = []
            solver = solve.SingleCall(lr=2.0, scheme=scheme, batch=1, offset=40.0, seed=seed)
            if control:
                solver = replace(solver, lr=0.05, offset=None)

            def watch(now: Any, far: list[float] = far, solution: Tensor = solution) -> None:
                far.append(float((now.x - solution).square().sum()))

            at = solve.solve(problem, solver, max_steps=steps, every=steps // 50, callback=watch).at
            rows.append(far)
        mean = [sum(values) / seeds for values in zip(*rows, strict=True)]
        x = [float(t) for t in at]
        numbers[f"slope_{scheme}"] = slope(x, mean, begin=steps / 12)
        curves[scheme] = (x[1:], [row[1:] for row in rows])
    slopes = [numbers[f"slope_{scheme}"] for scheme in SCHEMES]
    numbers |= {"slowest": max(slopes), "fastest": min(slopes)}
    return Measured(numbers, [Lines("last point, one sample a step", "steps", "‖x - x*‖²", curves, log="xy")])


CLAIMS = (
    Claim(
        name="single-call-ergodic",
        sentence="All single-call variants of extragradient keep its ergodic O(1/t) rate on smooth monotone problems.",
        source=Source("hsieh2019convergence", "abstract; table of rates"),
        methods=("SingleCall",),
        rows=("001-101",),
        bounds=(
            Bound(
                "slope",
                "≤",
                -0.9,
                "slope of the average's log gap by log steps over the last factor 40, worst of three",
            ),
            Bound("calls", "≤", 1.01, "values of the operator a step"),
        ),
        experiment=ergodic,
        control="no look ahead: descent-ascent",
        seeds=1,
        minutes=0.5,
        untested="Sets; operators that are not linear.",
    ),
    Claim(
        name="single-call-stochastic",
        sentence="With noise and steps γ/(t + b), the last iterate of single-call methods has an O(1/t) rate where F is "
        "strongly monotone.",
        source=Source("hsieh2019convergence", "abstract; theorem on strongly monotone problems"),
        methods=("SingleCall",),
        rows=("001-101",),
        bounds=(
            Bound(
                "slowest",
                "≤",
                -0.8,
                "slope of log E‖x - x*‖² by log steps over the last factor 12, slowest of three",
            ),
            Bound("fastest", "≥", -1.2, "the same, fastest"),
        ),
        experiment=stochastic,
        control="a constant step of 0.05",
        seeds=10,
        minutes=1.0,
        untested="Problems that are not monotone, of which the paper has the same rate locally.",
    ),
)
