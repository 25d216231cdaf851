"""Noise that vanishes at the solution: with separated rates regret stays bounded, with equal ones it grows.

The game is bilinear, x'Ay, and one of n matrices with mean A is drawn in each step, so that the noise is multiplicative: it is
proportional to the distance. Measured is the regret of both players together against the best of the unit ball, of the points
that were played, ‖AᵀΣxₜ‖ + ‖A Σyₜ‖ (their payoffs cancel). Controls: equal rates.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from steepest import solve
from steepest.claims.lab.base import Bound, Claim, Lines, Measured, Source

D, SAMPLES = 5, 50
RATES = (0.05, 0.2)


def play(make: Any, seed: int, steps: int) -> tuple[list[float], list[float], float]:
    """Steps, the regret up to them, and the distance at the end relative to the start."""
    random = torch.Generator().manual_seed(seed)
    u, _, v = torch.linalg.svd(torch.randn(D, D, generator=random, dtype=torch.float64))
    A = u @ torch.diag(torch.linspace(0.5, 1.0, D, dtype=torch.float64)) @ v
    parts = torch.randn(SAMPLES, D, D, generator=random, dtype=torch.float64)
    parts = A + 0.7 * (parts - parts.mean(0))
    start = torch.nn.functional.normalize(torch.randn(2, D, generator=random, dtype=torch.float64), dim=1)

    def payoffs(x: Tensor, y: Tensor, i: Tensor) -> Tensor:
        if len(i) == SAMPLES:  # only what is measured looks at all
            values: Tensor = (x @ A @ y).expand(SAMPLES)
        else:
            values = torch.einsum("a,iab,b->i", x, parts[i], y)
        return values

    problem = solve.Saddle(payoffs, start[0], start[1], n=SAMPLES)
    total = torch.zeros(2, D, dtype=torch.float64)
    at: list[float] = []
    regret: list[float] = []

    def watch(now: Any) -> None:
        nonlocal total
        if now.steps:
            total = total + now.state["values"]["played"].view(2, D)
        if now.steps % max(1, steps // 100) == 0 and now.steps:
            at.append(float(now.steps))
            regret.append(min(float((A.T @ total[0]).norm() + (A @ total[1]).norm()), 1e300))

    result = solve.solve(problem, make(seed), max_steps=steps, callback=watch)
    return at, regret, min(float(torch.cat([*result.x]).norm() / start.norm()), 1e300)


def compare(separated: Any, fast: bool, control: bool) -> Measured:
    """The regret at the end relative to a tenth of the way, worst seed, and the distance."""
    seeds, steps = (1, 600) if fast else (2, 10_000)

    def equal(seed: int) -> tuple[list[float], list[float], float]:
        """The best of two rates, by distance."""
        runs = [play(lambda s, lr=lr: solve.OGPlus(lr=lr, ahead=1.0, batch=1, seed=s), seed, steps) for lr in RATES]
        return min(runs, key=lambda run: run[2])

    plain = [equal(s) for s in range(seeds)]
    ours = plain if control else [play(separated, s, steps) for s in range(seeds)]
    growth = [[r[-1] / max(r[len(r) // 10 - 1], 1e-3) for _, r, _ in runs] for runs in (ours, plain)]
    numbers = {"growth": max(growth[0]), "growth_equal": min(growth[1]), "far": max(far for _, _, far in ours),
               "far_equal": min(far for _, _, far in plain)}  # fmt: skip
    curves = {"separated": (ours[0][0], [r for _, r, _ in ours]), "equal": (plain[0][0], [r for _, r, _ in plain])}
    return Measured(numbers, [Lines("multiplicative noise", "steps", "regret", curves, log="xy")])


def fixed(fast: bool, control: bool) -> Measured:
    """OG+ with γ = 4η."""
    return compare(lambda seed: solve.OGPlus(lr=0.05, ahead=4.0, batch=1, seed=seed), fast, control)


def adaptive(fast: bool, control: bool) -> Measured:
    """AdaOptDA+."""
    return compare(lambda seed: solve.AdaOptDAPlus(batch=1, seed=seed), fast, control)


GROWTH = Bound("growth", "≤", 1.5, "regret at the end relative to that at a tenth of the way, worst seed")
EQUAL = Bound("growth_equal", ">", 1.5, "the same with equal rates, the best of two, best seed")
SOURCE = Source("hsieh2022noregret", "abstract")

CLAIMS = (
    Claim(
        name="rates-separated",
        sentence="With multiplicative noise learners achieve constant regret when the extrapolation and update steps of an "
        "optimistic method have separate rates.",
        source=SOURCE,
        methods=("OGPlus",),
        rows=("001-105",),
        bounds=(
            GROWTH,
            EQUAL,
            Bound("far", "≤", 0.5, "distance to the solution at the end relative to the start, worst seed"),
        ),
        experiment=fixed,
        control="equal rates",
        seeds=2,
        minutes=2.0,
        untested="Additive noise; sets; games that are not bilinear.",
        note="A first version took one player's regret, which may be negative, over 2000 steps: not held, with 1.66 and 0.531. "
        "Over 3000 steps regret still grew, by 1.81 (not held); the catalogue's horizon is longer.",
    ),
    Claim(
        name="rates-separated-adaptively",
        sentence="A fully adaptive method attains nearly the same, without knowledge of the game or of the noise.",
        source=SOURCE,
        methods=("AdaOptDAPlus",),
        rows=("001-105",),
        bounds=(GROWTH, EQUAL),
        experiment=adaptive,
        control="equal rates",
        seeds=2,
        minutes=2.0,
        untested="Additive noise; the exponent of what it loses; the rates are those of a summary of the paper.",
    ),
)
