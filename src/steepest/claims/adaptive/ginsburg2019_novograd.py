"""NovoGrad: less sensitive to the learning rate than SGD with momentum.

Digits by a net of two hidden layers: the learning rates of a shared grid at which accuracy is within one point of the
method's own best, in octaves. The control has the same momentum over gradients that are not divided by their norm.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

from torch import Tensor

import steepest
from steepest.claims.lab.base import Bound, Claim, Lines, Measured, Source
from steepest.claims.lab.tasks import cosine, digits, fit

OCTAVES = range(-12, 1)


class WithoutNorm(steepest.direction.NovoGrad):
    """NovoGrad's momentum over gradients as they are."""

    def __call__(
        self, g: Tensor, x: Tensor, s: SimpleNamespace, h: SimpleNamespace
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The map."""
        m = s.m * h.beta1 + g
        return m, {"v": s.v, "m": m}


MAKES: dict[str, Callable[[Any, float], steepest.Optimizer]] = {
    "NovoGrad": lambda p, lr: steepest.NovoGrad(p, lr=lr),
    "control": lambda p, lr: steepest.Optimizer(p, lr=lr, direction=WithoutNorm()),
    "SGD": lambda p, lr: steepest.SGD(p, lr=lr, momentum=0.95),
}


@cache
def accuracy(name: str, lr: float, seed: int, steps: int) -> float:
    """On held-out digits at the end; that of guessing where the run diverged."""
    task = digits(64, 64)
    made = fit(task, lambda p: MAKES[name](p, lr), seed, steps, decay=cosine)
    return 0.1 if made.diverged else task.accuracy(made.model)


def octaves(values: list[float]) -> int:
    """Learning rates, each twice the one before, whose accuracy is within one point of the best."""
    return sum(value >= max(values) - 0.01 for value in values)


def robust(fast: bool, control: bool) -> Measured:
    """Widths of the intervals of good learning rates, a seed at a time."""
    steps, seeds, grid = (60, 1, OCTAVES[::3]) if fast else (300, 3, OCTAVES)
    ours = "control" if control else "NovoGrad"
    found = {name: [[accuracy(name, 2.0**k, seed, steps) for k in grid] for seed in range(seeds)]
             for name in (ours, "SGD")}  # fmt: skip
    wide = {name: statistics.mean(map(octaves, rows)) for name, rows in found.items()}
    numbers = {"more": wide[ours] - wide["SGD"], "NovoGrad": wide[ours], "SGD": wide["SGD"]}
    numbers |= {f"best of {name}": statistics.mean(map(max, rows)) for name, rows in found.items()}
    curves = {name: ([float(k) for k in grid], rows) for name, rows in found.items()}
    return Measured(numbers, [Lines("accuracy", "log₂ of the learning rate", "part of held-out digits", curves)])


CLAIMS = (
    Claim(
        name="novograd-robust-to-lr",
        sentence="NovoGrad is robust to the choice of learning rate.",
        source=Source("ginsburg2019novograd", "abstract"),
        methods=("NovoGrad",),
        rows=("001-103",),
        bounds=(
            Bound(
                "more",
                "≥",
                1.0,
                "octaves of learning rates within one point of the best accuracy, more than SGD with the same momentum has",
            ),
        ),
        experiment=robust,
        control="the same momentum over gradients that are not divided by their norm",
        seeds=3,
        minutes=1.0,
        untested="The choice of the initial weights, and nets in which scales of layers differ by more.",
    ),
)
