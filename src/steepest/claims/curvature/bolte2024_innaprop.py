"""INNAprop with (α, β) = (0.1, 0.9) trains faster than AdamW in the early part of a run.

Digits by a net with 64 hidden units, batches of 32, 300 steps; the loss after the first third, both at the best of four
learning rates for each seed.  The control is α = β = 1, which is RMSprop: no inertia.
"""

from __future__ import annotations

import statistics
from functools import cache

import steepest
from steepest.claims.lab.base import Bound, Claim, Dots, Measured, Source
from steepest.claims.lab.tasks import Fit, Make, digits, fit

RATES = (1e-3, 3e-3, 1e-2, 3e-2)


def losses(make: Make, seed: int, steps: int) -> tuple[float, float]:
    """Training loss after a third of the steps, test loss at the end."""
    task = digits(64, batch=32)
    third: list[float] = []

    def look(done: int, run: Fit) -> None:
        if done == steps // 3:
            third.append(task.cost(run.model, task.train))

    run = fit(task, make, seed, steps, look)
    return (1e3, 1e3) if run.diverged else (third[0], task.cost(run.model, task.test))


def best(makes: list[Make], seed: int, steps: int) -> tuple[float, float]:
    """The lowest early loss, and the lowest at the end."""
    found = [losses(make, seed, steps) for make in makes]
    return min(a for a, _ in found), min(b for _, b in found)


@cache
def adamw(seed: int, steps: int) -> tuple[float, float]:
    """AdamW at its best."""
    return best([lambda p, lr=lr: steepest.AdamW(p, lr=lr) for lr in RATES], seed, steps)  # type: ignore[misc]


def early(fast: bool, control: bool) -> Measured:
    """Losses relative to AdamW's."""
    seeds, steps = (1, 60) if fast else (6, 300)
    alpha, beta = (1.0, 1.0) if control else (0.1, 0.9)
    makes: list[Make] = [lambda p, lr=lr: steepest.INNAprop(p, lr=lr, alpha=alpha, damping=beta) for lr in RATES]  # type: ignore[misc]
    ours = [best(makes, seed, steps) for seed in range(seeds)]
    theirs = [adamw(seed, steps) for seed in range(seeds)]
    first = [a[0] / b[0] for a, b in zip(ours, theirs, strict=True)]
    last = [a[1] / b[1] for a, b in zip(ours, theirs, strict=True)]
    numbers = {"early": statistics.median(first), "end": statistics.median(last)}
    dots = {"INNAprop": [a[0] for a in ours], "AdamW": [b[0] for b in theirs]}
    return Measured(numbers, [Dots("training loss after a third of the steps", "loss", dots, log="y")])


CLAIMS = (
    Claim(
        name="innaprop-early",
        sentence="INNAprop with alpha=0.1, beta=0.9 trains faster than AdamW early in a run.",
        source=Source("bolte2024innaprop", "abstract and the sections on fast training"),
        methods=("INNAprop",),
        rows=("001-165",),
        bounds=(
            Bound("early", "<", 1.0, "training loss after a third of the steps relative to AdamW's, median over seeds"),
        ),
        experiment=early,
        control="α = β = 1: RMSprop, no inertia",
        seeds=6,
        minutes=0.5,
        untested="CIFAR-10, ImageNet and GPT-2; (2.0, 2.0) for the best final accuracy.",
        note="Both at the best of four learning rates, where the paper takes AdamW's.",
    ),
)
