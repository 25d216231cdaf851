"""ScaledGD(λ): the condition number of the planted matrix costs a logarithm, with more columns than its rank.

Gaussian sums of a matrix of rank 3 with eigenvalues from 1 down to 1/κ, six columns, a start of 1e-6. Counted are steps until
the relative error is 1e-3, which at κ = 100 needs all three eigenvalues. Gradient descent has the best of three rates, and ends
at twelve times its own steps at κ = 1. The control takes the scaling away: gradient descent in the place of the method.
"""

from __future__ import annotations

from typing import Any

from steepest import solve
from steepest.claims.lab.base import Bound, Claim, Lines, Measured, Source
from steepest.claims.lab.planted import distances, gaussian, planted, small

CONDITIONS = (1.0, 10.0, 100.0)
RATES = (0.1, 0.3, 0.6)


def steps_to(make: Any, condition: float, seed: int, most: int) -> tuple[int, list[int], list[float]]:
    """Steps to a relative error of 1e-3, or ``most``; and the way there."""
    n, r, k = 30, 3, 6
    M = planted(n, [condition ** (-i / (r - 1)) for i in range(r)], seed)
    weights = gaussian(n, 8 * n * r, seed)
    y = weights.reshape(len(weights), -1) @ M.reshape(-1)
    problem = solve.Observed.sums(weights, y, small(n, k, 1e-6, seed))
    at, far = distances(problem, make(1 / condition), M, most, enough=1e-3)
    return (at[-1] if far[-1] <= 1e-3 else most), at, far


def experiment(fast: bool, control: bool) -> Measured:
    """Growth of the steps from κ = 1 to κ = 100, worst seed."""
    seeds, conditions = (1, (1.0, 10.0)) if fast else (3, CONDITIONS)
    numbers: dict[str, float] = {"growth": 0.0, "growth_gd": float("inf")}
    curves: Any = {}
    for seed in range(seeds):
        steps: dict[str, list[int]] = {"scaled": [], "gd": []}
        for c in conditions:
            most = 12 * steps["gd"][0] if steps["gd"] else 2000
            tries = [steps_to(lambda _, lr=lr: solve.FactoredGD(lr), c, seed, most)[0] for lr in RATES]
            steps["gd"].append(min(tries))
            took, at, far = steps_to(lambda least: solve.ScaledGD(0.3, damping=least / 4), c, seed, most)
            steps["scaled"].append(took)
            if seed == 0:
                curves[f"ScaledGD(λ), κ = {c:g}"] = (at, [far])
        ours = steps["gd" if control else "scaled"]
        numbers["growth"] = max(numbers["growth"], ours[-1] / ours[0])
        numbers["growth_gd"] = min(numbers["growth_gd"], steps["gd"][-1] / steps["gd"][0])
        numbers |= {f"{who} {c:g}": max(numbers.get(f"{who} {c:g}", 0), t) for who in steps
                    for c, t in zip(conditions, steps[who], strict=True)}  # fmt: skip
    return Measured(numbers, [Lines("ScaledGD(λ)", "steps", "relative error", curves, log="y")])


CLAIMS = (
    Claim(
        name="scaledgd-condition-number",
        sentence="From a small random start and with more columns than the rank, ScaledGD(λ) needs a number of steps that "
        "grows by the logarithm of the condition number only.",
        source=Source("xu2023power", "abstract and main theorem"),
        methods=("ScaledGD",),
        rows=("001-085",),
        bounds=(
            Bound("growth", "<", 3.0, "steps to a relative error of 1e-3 at κ = 100 over those at κ = 1, worst seed"),
        ),
        regime=(Bound("growth_gd", "≥", 10.0, "the same for gradient descent at its best of three rates, best seed"),),
        experiment=experiment,
        control="gradient descent, without the scaling",
        seeds=3,
        minutes=2.0,
        untested="growth with the dimension; noise; λ far from the least eigenvalue.",
    ),
)
