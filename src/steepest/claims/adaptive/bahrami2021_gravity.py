"""Gravity: validation that trembles less than Adam's.

Digits by a net of two hidden layers, 20 epochs at a constant learning rate, each method at the rate of its best accuracy, of
as many. What is compared is the standard deviation of the held-out accuracy over the last 10 epochs, on paired seeds,
where the accuracy is no worse. The control leaves the gradient undamped.
"""

from __future__ import annotations

import statistics
from functools import cache
from types import SimpleNamespace
from typing import Any

from torch import Tensor

import steepest
from steepest.claims.lab.base import Bound, Claim, Dots, Measured, Source
from steepest.claims.lab.paired import INSIDE, interval
from steepest.claims.lab.tasks import Fit, best, digits, fit

GRIDS = {"Adam": tuple(5e-4 * 2**k for k in range(6)), "Gravity": tuple(0.05 * 3**k for k in range(6))}
GRIDS["undamped"] = GRIDS["Gravity"]


class Undamped(steepest.direction.Gravity):
    """Gravity with z = g."""

    def __call__(
        self, g: Tensor, x: Tensor, s: SimpleNamespace, h: SimpleNamespace
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The map."""
        V: Tensor = (s.V + s.start * h.spread) * h.past + g * (1 - h.past)
        return V, {"V": V}


@cache
def late(name: str, lr: float, seed: int, epochs: int) -> tuple[float, float]:
    """Mean and standard deviation of the accuracy over the second half of the epochs."""
    makers: dict[str, Any] = {
        "Gravity": lambda p: steepest.Gravity(p, lr=lr),
        "Adam": lambda p: steepest.Adam(p, lr=lr),
        "undamped": lambda p: steepest.Optimizer(p, lr=lr, direction=Undamped()),
    }
    task, seen = digits(64, 64), []

    def look(k: int, run: Fit) -> None:
        if k % task.epoch == 0:
            seen.append(task.accuracy(run.model))

    run = fit(task, makers[name], seed, epochs * task.epoch, look)
    tail = seen[epochs // 2 :]
    return (0.1, 1.0) if run.diverged else (statistics.mean(tail), statistics.pstdev(tail))


def experiment(fast: bool, control: bool) -> Measured:
    """Deviations and accuracies of both."""
    seeds, epochs = (2, 4) if fast else (6, 20)
    ours = "undamped" if control else "Gravity"
    rates = {
        n: best({lr: -late(n, lr, 1000, epochs)[0] for lr in (GRIDS[n][::3] if fast else GRIDS[n])})
        for n in (ours, "Adam")
    }
    rows = {n: [late(n, lr, seed, epochs) for seed in range(seeds)] for n, lr in rates.items()}
    spread = {n: [s for _, s in row] for n, row in rows.items()}
    calmer, width = interval([b - a for a, b in zip(spread[ours], spread["Adam"], strict=True)])
    mean = {n: statistics.mean(a for a, _ in row) for n, row in rows.items()}
    numbers = {"calmer": calmer - width, "above": mean[ours] - mean["Adam"], "ours": mean[ours], "Adam": mean["Adam"]}
    numbers |= {"inside": float(all(min(GRIDS[n]) < lr < max(GRIDS[n]) for n, lr in rates.items()))}
    numbers |= {f"lr {'ours' if n == ours else n}": lr for n, lr in rates.items()}
    return Measured(numbers, [Dots("standard deviation over epochs", "part of held-out digits", spread, log="y")])


CLAIMS = (
    Claim(
        name="gravity-steadier",
        sentence="Gravity is more stable than Adam: validation accuracy varies less over epochs, at no loss of accuracy.",
        source=Source("bahrami2021gravity", "abstract"),
        methods=("Gravity",),
        rows=("001-035",),
        regime=INSIDE,
        bounds=(
            Bound("calmer", ">", 0.0, "standard deviation below Adam's, lower end of the 90 % interval over seeds"),
            Bound("above", "≥", -0.005, "accuracy above Adam's, mean over the last epochs and seeds"),
        ),
        experiment=experiment,
        control="gradients that are not damped",
        seeds=6,
        minutes=0.5,
        untested="VGG nets on CIFAR and MNIST; RMSProp; 100 epochs.",
    ),
)
