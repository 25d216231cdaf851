"""Language-model runs that several claims compare with: each method at its best of a few learning rates, made once.

The task is the next byte of Python's own source by a small transformer. The learning rate is chosen on seed 0 by the
held-out loss at the end; all methods have four to choose from, in the same ratios, around the value their papers use for
small models.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import steepest
from steepest.claims.lab.tasks import Fit, Task, best, cosine, fit, language, state_bytes

_ADAM, _SIGN = (1e-3, 2e-3, 5e-3, 1e-2), (5e-4, 1e-3, 2e-3, 5e-3)
GRID: dict[str, tuple[float, ...]] = {
    "AdamW": _ADAM, "CAdamW": _ADAM, "MARS": _ADAM, "FRUGAL": _ADAM, "Lion": _SIGN, "CLion": _SIGN,
    "GaLore": (1e-2, 2e-2, 5e-2, 1e-1),
}  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One training run: learning rate, steps and held-out losses along the way, bytes of optimizer state."""

    lr: float
    times: list[float]
    curve: list[float]
    state: int


def settings(fast: bool) -> tuple[Task, int, int]:
    """Task, steps, and steps between two evaluations."""
    return (language(32, 1), 60, 10) if fast else (language(), 240, 20)


@cache
def train(name: str, lr: float, seed: int, fast: bool, extra: tuple[tuple[str, Any], ...] = ()) -> Run:
    """Train the byte-level transformer.

    Args:
        name: method.
        lr: learning rate, with a cosine schedule.
        seed: of weights and batches.
        fast: a smaller model and fewer steps.
        extra: further options of the method.
    """
    task, steps, every = settings(fast)
    times: list[float] = []
    curve: list[float] = []

    def look(k: int, run: Fit) -> None:
        if k % every == 0:
            times.append(float(k))
            curve.append(task.cost(run.model, task.test))

    make: Any = getattr(steepest, name)
    run = fit(task, lambda p: make(p, lr=lr, **dict(extra)), seed, steps, look, decay=cosine)
    if run.diverged:
        times, curve = [*times, float(steps)], [*curve, 1e9]
    return Run(lr, times, curve, state_bytes(run.opt))


def tuned(
    name: str, fast: bool, seeds: int, extra: tuple[tuple[str, Any], ...] = (), lr: float | None = None
) -> list[Run]:
    """Runs for seeds 0, 1, ... at the learning rate that is best on seed 0 (or at ``lr``)."""
    grid = GRID[name][2:3] if fast else GRID[name]
    if lr is None:
        lr = grid[0] if len(grid) == 1 else best({g: train(name, g, 0, fast, extra).curve[-1] for g in grid})
    return [train(name, lr, seed, fast, extra) for seed in range(seeds)]


def last(runs: Sequence[Run]) -> float:
    """Mean of the last held-out losses."""
    return statistics.mean(r.curve[-1] for r in runs)


def reach(curve: Sequence[float], target: float) -> float:
    """When a curve reaches a loss, as a part of its length, between checks by a straight line; 1.1 if it does not."""
    before = None
    for i, value in enumerate(curve):
        if value <= target:
            if before is None or before == value:
                return (i + 1) / len(curve)
            return (i + (before - target) / (before - value)) / len(curve)
        before = value
    return 1.1
