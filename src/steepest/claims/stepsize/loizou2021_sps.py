"""The stochastic Polyak step needs no tuning where every row can be fitted, and stalls where it cannot.

Consistent least squares: SPS (c = ½, f* = 0, untuned) is compared with the best of nine constant steps of SGD by the
number of steps to a loss of 10⁻⁶ times the first. The control adds noise to the targets, so that no point fits all rows.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import steepest
from steepest.claims.lab.base import Bound, Claim, Lines, Measured, Source
from steepest.claims.lab.interpolation import least_squares
from steepest.claims.lab.tasks import Fit, Make, Task, fit, sgd

GRID = tuple(2.0 ** (k / 2) / 8 for k in range(9))  # 1/8 to 2; SGD diverges at its upper end
SMALL = 1e-6


def descent(task: Task, make: Make, seed: int, steps: int) -> tuple[list[float], list[float], float]:
    """Steps and losses along the way relative to the first, and the steps to SMALL (or all of them)."""
    start = task.cost(task.model(seed), task.train)
    times: list[float] = [0.0]
    losses = [1.0]

    def look(k: int, run: Fit) -> None:
        if k % 10 == 0:
            times.append(float(k))
            losses.append(task.cost(run.model, task.train) / start)

    fit(task, make, seed, steps, look)
    return times, losses, next((t for t, f in zip(times, losses, strict=True) if f <= SMALL), float(steps))


def race(
    make: Any, seeds: int, steps: int, noise: float, problem: Callable[[int, float], Task]
) -> tuple[Any, Any, float]:
    """Ways of the method under test and of the best SGD for each seed, and the median ratio of their steps."""
    ours, theirs = [], []
    for seed in range(seeds):
        task = problem(seed, noise)
        ours.append(descent(task, make, seed, steps))
        theirs.append(min((descent(task, sgd(lr), seed, steps) for lr in GRID), key=lambda way: (way[2], way[1][-1])))
    return ours, theirs, statistics.median(o[2] / t[2] for o, t in zip(ours, theirs, strict=True))


def experiment(fast: bool, control: bool) -> Measured:
    """Loss at the end, and steps relative to the best SGD."""
    seeds, steps = (1, 300) if fast else (5, 1_500)
    ours, theirs, ratio = race(lambda p: steepest.SPS(p, c=0.5), seeds, steps, 0.3 if control else 0.0, least_squares)
    numbers = {"end_worst": max(o[1][-1] for o in ours), "ratio": ratio}
    t = ours[0][0]
    curves = {"SPS": (t, [o[1] for o in ours]), "best of 9 SGD": (t, [o[1] for o in theirs])}
    return Measured(numbers, [Lines("loss relative to the start", "steps", "loss", curves, {"goal": SMALL}, log="y")])


CLAIMS = (
    Claim(
        name="sps-interpolation",
        sentence="With a stochastic Polyak step SGD converges to the solution at a fast rate without any constant of the "
        "problem, if the model can fit every row.",
        source=Source("loizou2021sps", "abstract and the theorem for interpolation"),
        methods=("SPS",),
        bounds=(
            Bound("end_worst", "≤", SMALL, "loss at the end relative to the start, worst seed"),
            Bound("ratio", "≤", 1.25, "steps to a loss of 10⁻⁶ relative to the best of nine SGD, median over seeds"),
        ),
        experiment=experiment,
        control="noise of standard deviation 0.3 in the targets, so that no point fits every row",
        seeds=5,
        minutes=1.0,
        untested="Deep nets with the smoothed bound; mini-batch losses whose minimum is not zero.",
    ),
)
