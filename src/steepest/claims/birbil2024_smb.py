"""Building a model where the plain step fails makes SGD indifferent to its learning rate.

The digits net, batches of 128, twenty epochs, learning rates over 2.7 decades. How much the training loss depends on the
learning rate is measured by the largest over the smallest loss of a method; a run that diverges counts as its worst finite
loss, or as the loss of a guess. The control takes the plain step always.
"""

from __future__ import annotations

import math
import statistics
from functools import cache
from typing import Any

import steepest
from steepest.claims.base import Bound, Claim, Dots, Measured, Source
from steepest.claims.tasks import Make, digits, fit, sgd

RATES = (0.01, 0.1, 0.5, 1.0, 5.0)


@cache
def ends(name: str, seed: int, epochs: int) -> list[float]:
    """Training loss at the end for each learning rate."""
    task = digits(64, batch=128)
    makes: dict[str, Any] = {"SMB": lambda lr: lambda p: steepest.SMB(p, lr=lr), "SGD": sgd,
                             "Adam": lambda lr: lambda p: steepest.Adam(p, lr=lr)}  # fmt: skip
    found = []
    for lr in RATES:
        make: Make = makes[name](lr)
        done = fit(task, make, seed, epochs * task.epoch)
        loss = math.inf if done.diverged else task.cost(done.model, task.train)
        found.append(loss if loss < math.log(10) else math.log(10))  # a guess
    return found


def experiment(fast: bool, control: bool) -> Measured:
    """Spread of each method over its learning rates relative to SMB's, and SMB's best relative to SGD's; medians."""
    seeds, epochs = (1, 10) if fast else (5, 20)
    names = {"SMB": "SGD" if control else "SMB", "SGD": "SGD", "Adam": "Adam"}
    runs = {label: [ends(name, seed, epochs) for seed in range(seeds)] for label, name in names.items()}
    spread = {label: [max(r) / min(r) for r in rs] for label, rs in runs.items()}
    numbers = {f"spread {label}": statistics.median(s) for label, s in spread.items()}
    for rival in ("SGD", "Adam"):
        numbers[f"to_{rival.lower()}"] = statistics.median(
            a / b for a, b in zip(spread["SMB"], spread[rival], strict=True)
        )
    numbers["best"] = statistics.median(min(a) / min(b) for a, b in zip(runs["SMB"], runs["SGD"], strict=True))
    columns = {f"{label}, lr = {lr:g}": [r[k] for r in rs] for label, rs in runs.items() for k, lr in enumerate(RATES)}
    return Measured(numbers, [Dots("training loss at the end", "loss", columns, {"a guess": math.log(10)}, log="y")])


CLAIMS = (
    Claim(
        name="smb-robust",
        sentence="Stochastic model building needs less tuning than SGD and Adam, and loses nothing at its best learning rate.",
        source=Source("birbil2024bolstering", "abstract"),
        methods=("SMB",),
        bounds=(
            Bound("to_sgd", "<", 1.0, "largest over smallest loss on five learning rates, relative to SGD's, median"),
            Bound("to_adam", "<", 1.0, "the same relative to Adam's"),
            Bound("best", "≤", 1.0, "loss at the best learning rate relative to the best SGD, median"),
        ),
        experiment=experiment,
        control="the plain step always, which is SGD",
        seeds=5,
        minutes=1.0,
        untested="SMBi and the schedule of the authors' code; convolutional nets and the data of the paper.",
    ),
)
