"""SWATS: from Adam to SGD without a new number to choose.

Digits by a net of two hidden layers from 250 rows, so that methods generalize differently; Adam and SGD with momentum at the
best of as many learning rates, chosen on seeds of their own, SWATS at Adam's. If SGD is more accurate than Adam, SWATS must
close half of the gap, and must have switched at all. The control never switches.
"""

from __future__ import annotations

import statistics
from functools import cache
from typing import Any

import steepest
from steepest.claims.lab.base import Bound, Claim, Dots, Measured, Source
from steepest.claims.lab.paired import interval
from steepest.claims.lab.tasks import Task, best, digits, fit

LRS = {"Adam": tuple(1e-3 * 2**k for k in range(6)), "SGD": tuple(1e-2 * 2**k for k in range(6))}


@cache
def task() -> Task:
    """A quarter of the training rows."""
    whole = digits(64, 64, batch=25)
    x, y = whole.train
    return Task(whole.model, (x[:250], y[:250]), whole.test, whole.loss, whole.batch)


@cache
def accuracy(name: str, lr: float, seed: int, steps: int) -> tuple[float, float]:
    """On held-out rows, and whether it has switched."""
    makers: dict[str, Any] = {
        "Adam": lambda p: steepest.Adam(p, lr=lr),
        "SGD": lambda p: steepest.SGD(p, lr=lr, momentum=0.9),
        "SWATS": lambda p: steepest.SWATS(p, lr=lr),
        "never": lambda p: steepest.SWATS(p, lr=lr, settled=0.0),
    }
    run = fit(task(), makers[name], seed, steps)
    switched = float(run.opt.param_groups[0].get("in_sgd", 0.0))
    return (0.1 if run.diverged else task().accuracy(run.model)), switched


def experiment(fast: bool, control: bool) -> Measured:
    """Accuracies of all three."""
    seeds, steps = (2, 60) if fast else (6, 600)
    rates = {name: best({lr: -accuracy(name, lr, 1000, steps)[0] for lr in (grid[::3] if fast else grid)})
             for name, grid in LRS.items()}  # fmt: skip
    ours = "never" if control else "SWATS"
    rows = {name: [accuracy(name, rates["SGD" if name == "SGD" else "Adam"], seed, steps) for seed in range(seeds)]
            for name in (ours, "Adam", "SGD")}  # fmt: skip
    score = {name: [a for a, _ in row] for name, row in rows.items()}
    gap, width = interval([s - a for s, a in zip(score["SGD"], score["Adam"], strict=True)])
    gain = statistics.mean(score[ours]) - statistics.mean(score["Adam"])
    numbers = {"gap": gap, "least gap": gap - width, "closed": gain - gap / 2}
    numbers["switched"] = statistics.mean(s for _, s in rows[ours])
    numbers |= {name: statistics.mean(row) for name, row in score.items() if name != ours} | {
        "ours": statistics.mean(score[ours])
    }
    return Measured(numbers, [Dots("accuracy", "part of held-out digits", score)])


CLAIMS = (
    Claim(
        name="swats-closes-the-gap",
        sentence="Switching from Adam to SGD when a projected learning rate has settled closes the gap in generalization.",
        source=Source("keskar2017improving", "abstract"),
        methods=("SWATS",),
        rows=("001-160",),
        regime=(
            Bound("least gap", ">", 0.0, "accuracy of SGD above Adam's, lower end of the 90 % interval over seeds"),
        ),
        bounds=(
            Bound("switched", "≥", 0.5, "part of the runs that switched"),
            Bound("closed", "≥", 0.0, "accuracy above Adam's, more than half of the gap"),
        ),
        experiment=experiment,
        control="ε = 0: it never switches",
        seeds=6,
        minutes=0.5,
        untested="CIFAR, Tiny ImageNet, Penn Treebank and WikiText-2; runs of 10⁵ steps.",
    ),
)
