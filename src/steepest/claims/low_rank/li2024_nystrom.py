"""ScaledGD from a Nyström start: errors square, where from a Gaussian start they halve.

A planted 50 × 50 matrix of rank 5 and condition number 100 that is seen whole. With X₀ = M Ω the steps stay in its column
space, where a step of ½ is Newton's for the square root. A pair (M Ω, 0) needs one step of length 1. The control begins
with a small Gaussian matrix in the place of M Ω.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import torch

from steepest import solve
from steepest.claims.lab.base import Bound, Claim, Lines, Measured, Source
from steepest.claims.lab.planted import distances, planted, small


def experiment(fast: bool, control: bool) -> Measured:
    """Steps to 1e-10, order of convergence, and the error of a pair after one step; worst of the seeds."""
    seeds, n, r, most = (1 if fast else 5), 50, 5, 200
    worst = {"steps": 0.0, "order": math.inf, "pair": 0.0}
    curves: Any = {}
    for seed in range(seeds):
        M = planted(n, torch.logspace(0, -2, r, dtype=torch.float64).tolist(), seed)
        start = small(n, r, 1e-2, seed) if control else solve.nystrom(M, r, seed)
        problem = solve.Observed(lambda Z: Z.reshape(-1), M.reshape(-1), start)
        at, far = distances(problem, solve.ScaledGD(0.5), M, most, enough=1e-10)
        last = [math.log(b) / math.log(a) for a, b in pairwise(far) if a < 1e-2 and b > 1e-13]
        both = solve.Observed(lambda Z: Z.reshape(-1), M.reshape(-1), (start, torch.zeros(n, r, dtype=torch.float64)))
        one = distances(both, solve.ScaledGD(1.0), M, 1)[1][-1]
        worst = {
            "steps": max(worst["steps"], at[-1]),
            "order": min([worst["order"], *last]),
            "pair": max(worst["pair"], one),
        }
        curves[f"seed {seed}"] = (at, [far])
    return Measured(worst, [Lines("from M Ω", "steps", "relative error", curves, log="y")])


CLAIMS = (
    Claim(
        name="nystrom-quadratic",
        sentence="With a Nyström start ScaledGD converges quadratically where only a linear rate was known, and a pair of "
        "factors is exact after one step of length 1.",
        source=Source("li2024crucial", "abstract"),
        methods=("ScaledGD",),
        rows=("003-05",),
        bounds=(
            Bound("steps", "≤", 10, "steps to a relative error of 1e-10, worst seed"),
            Bound("order", "≥", 1.7, "logarithm of an error over that of the one before, below 1e-2, least of all"),
            Bound("pair", "≤", 1e-10, "relative error of a pair after one step, worst seed"),
        ),
        experiment=experiment,
        control="a small Gaussian start",
        seeds=5,
        minutes=0.2,
        digits=2,
        untested="NoRA, the start for adapters of linear layers; more columns than the rank.",
    ),
)
