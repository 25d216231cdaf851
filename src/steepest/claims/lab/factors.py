"""Methods with a factor for each side of a matrix against AdamW, on the next byte of Python's source.

All have the same warm-up and cosine and choose among as many learning rates on seed 0, by the held-out loss at the end.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from functools import cache, partial
from typing import Any

import steepest
from steepest.claims.lab.base import Lines, Measured
from steepest.claims.lab.baselines import reach, settings
from steepest.claims.lab.tasks import Fit, best, cosine, fit

GRID = (1e-3, 2e-3, 5e-3, 1e-2)
Options = tuple[tuple[str, Any], ...]


def warmed(done: float) -> float:
    """Five per cent of warm-up, then a cosine to zero."""
    return min(1.0, (done + 0.005) / 0.05) * cosine(done)


@cache
def train(name: str, lr: float, seed: int, fast: bool, extra: Options = ()) -> tuple[list[float], list[float]]:
    """Steps and held-out losses along the way; 1e9 at the end where it diverged."""
    task, steps, every = settings(fast)
    times: list[float] = []
    curve: list[float] = []

    def look(k: int, run: Fit) -> None:
        if k % every == 0:
            times.append(float(k))
            curve.append(task.cost(run.model, task.test))

    run = fit(task, partial(getattr(steepest, name), lr=lr, **dict(extra)), seed, steps, look, decay=warmed)
    return (times, curve) if not run.diverged else ([*times, float(steps)], [*curve, 1e9])


def tuned(name: str, fast: bool, seeds: int, extra: Options = ()) -> tuple[float, list[list[float]]]:
    """The rate that is best at the end on seed 0, and the curves of all seeds."""
    grid = GRID[2:3] if fast else GRID
    lr = best({g: train(name, g, 0, fast, extra)[1][-1] for g in grid})
    return lr, [train(name, lr, seed, fast, extra)[1] for seed in range(seeds)]


def fewer_steps(
    name: str, options: Mapping[str, Any], without: Mapping[str, Any], fast: bool, control: bool
) -> Measured:
    """Steps to AdamW's last loss, as a part of its steps; the control has other options."""
    seeds = 1 if fast else 3
    rate, base = tuned("AdamW", fast, seeds)
    lr, ours = tuned(name, fast, seeds, tuple({**options, **(without if control else {})}.items()))
    shown = f"{name} without factors" if control else name
    parts = [reach(o, b[-1]) for o, b in zip(ours, base, strict=True)]
    losses = {"AdamW": statistics.mean(b[-1] for b in base), shown: statistics.mean(o[-1] for o in ours)}
    numbers = {
        "part": statistics.mean(parts),
        "part_worst": max(parts),
        **{f"loss, {k}": v for k, v in losses.items()},
        "lr, AdamW": rate,
        f"lr, {shown}": lr,
    }
    times = train("AdamW", rate, 0, fast)[0]
    return Measured(
        numbers, [Lines("held-out loss", "steps", "nats a byte", {shown: (times, ours), "AdamW": (times, base)})]
    )
