"""AdaBound: its last step size hardly matters.

Digits by a net of two hidden layers: accuracy at α* from 10⁻³ to 1, by AdaBound, which begins as Adam at the best of its
learning rates, and by the SGD with the same average of gradients that it becomes, at the learning rate α*. Control: bounds
that are closed from the first step, so that AdaBound is that SGD.
"""

from __future__ import annotations

import statistics
from functools import cache

import steepest
from steepest.claims.lab.base import Bound, Claim, Lines, Measured, Source
from steepest.claims.lab.tasks import digits, fit

FINAL = tuple(10 ** (k / 2) for k in range(-6, 1))


@cache
def accuracy(name: str, final: float, seed: int, steps: int) -> float:
    """On held-out digits; that of guessing where the run diverged."""

    def make(params: object) -> steepest.Optimizer:
        if name == "SGD":
            return steepest.SGD(params, lr=final, momentum=0.9, dampening=0.9)
        return steepest.AdaBound(params, lr=1e-3, final=final / 1e-3, gamma=1e-3 if name == "AdaBound" else 1e6)

    task = digits(64, 64)
    run = fit(task, make, seed, steps)
    return 0.1 if run.diverged else task.accuracy(run.model)


def experiment(fast: bool, control: bool) -> Measured:
    """How far the accuracies of different α* are apart, seed by seed."""
    steps, seeds, grid = (60, 1, FINAL[::3]) if fast else (600, 5, FINAL)
    ours = "closed" if control else "AdaBound"
    found = {name: [[accuracy(name, a, seed, steps) for a in grid] for seed in range(seeds)] for name in (ours, "SGD")}
    spread = {name: statistics.mean(max(row) - min(row) for row in rows) for name, rows in found.items()}
    below = [statistics.mean(a[k] - b[k] for a, b in zip(*found.values(), strict=True)) for k in range(len(grid))]
    numbers = {
        "ratio": spread[ours] / spread["SGD"],
        "below": min(below),
        "spread": spread[ours],
        "SGD's": spread["SGD"],
    }
    numbers |= {f"best of {name}": statistics.mean(map(max, rows)) for name, rows in found.items()}
    curves = {name: (grid, rows) for name, rows in found.items()}
    return Measured(numbers, [Lines("accuracy", "α*", "part of held-out digits", curves, log="x")])


CLAIMS = (
    Claim(
        name="adabound-insensitive",
        sentence="AdaBound is not very sensitive to its last step size α*, and performs as well as SGD with momentum or better "
        "at each of them.",
        source=Source("luo2019adaptive", "the appendix on the robustness of AdaBound (from memory)"),
        methods=("AdaBound",),
        rows=("001-055",),
        bounds=(
            Bound("ratio", "≤", 0.5, "spread of accuracies over α* relative to SGD's, mean over seeds"),
            Bound("below", "≥", -0.01, "accuracy above SGD's at the same α*, worst of seven, mean over seeds"),
        ),
        experiment=experiment,
        control="bounds that are closed from the first step",
        seeds=5,
        minutes=0.8,
        untested="That the gap between Adam and SGD closes: on tasks of this size there is none. CIFAR and Penn Treebank.",
    ),
)
