"""Grams: a faster descent than the cautious mask by the same moments.

Digits by a net of two hidden layers, 300 steps, paired seeds, each method at the best of as many learning rates a factor of
1.26 apart, chosen on seeds of their own. The control leaves Adam its own signs.
"""

from __future__ import annotations

from typing import Any

import steepest
from steepest.claims.lab.base import Bound, Claim, Dots, Measured, Source
from steepest.claims.lab.paired import INSIDE, Match, compared
from steepest.claims.lab.tasks import Fit, Task, cosine, digits

GRID = tuple(8e-3 * 1.26**k for k in range(11))
MAKERS = {
    "Grams": lambda p, lr: steepest.Grams(p, lr=lr),
    "C-AdamW": lambda p, lr: steepest.CAdamW(p, lr=lr, weight_decay=0.0),
    "AdamW": lambda p, lr: steepest.AdamW(p, lr=lr, eps=1e-6, weight_decay=0.0),
}


def task() -> Task:
    """Digits."""
    return digits(64, 64)


def cost(on: Task, run: Fit) -> float:
    """Training loss at the end."""
    return on.cost(run.model, on.train)


def experiment(fast: bool, control: bool) -> Measured:
    """Training losses of both."""
    match = Match(task, 60, cost, cosine, 2, 1) if fast else Match(task, 300, cost, cosine)
    grids: dict[str, Any] = dict.fromkeys(MAKERS, GRID[::4] if fast else GRID)
    numbers, rows = compared(match, "AdamW" if control else "Grams", "C-AdamW", MAKERS, grids)
    numbers["relative"] = numbers["least"] / numbers["rival"]
    return Measured(numbers, [Dots("training loss", "nats", rows, log="y")])


CLAIMS = (
    Claim(
        name="grams-descends-faster",
        sentence="Grams reduces the loss faster than Adam, Lion and their cautious variants.",
        source=Source("cao2024grams", "abstract"),
        methods=("Grams",),
        rows=("001-039",),
        bounds=(Bound("relative", ">", 0.0, "training loss after 300 steps below cautious AdamW's, as a part of it, lower end "
                      "of the 90 % interval over seeds"),),
        regime=INSIDE,
        experiment=experiment,
        control="Adam's own signs",
        seeds=8,
        minutes=0.5,
        untested="Language models; Lion and its cautious variant; the proof of convergence.",
    ),
)  # fmt: skip
