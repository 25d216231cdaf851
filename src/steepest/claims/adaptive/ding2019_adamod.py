"""AdaMod: no warm-up is needed where step sizes are bounded by their own average.

The next byte of Python's source by a small transformer, without warm-up, each method at the best of as many learning rates,
chosen on seeds of their own; paired seeds. The control has AdaMod with β₃ = 0, whose bound never binds: Adam.
"""

from __future__ import annotations

from typing import Any

import steepest
from steepest.claims.lab.base import Bound, Claim, Dots, Measured, Source
from steepest.claims.lab.paired import INSIDE, Match, compared
from steepest.claims.lab.tasks import Fit, Task, language

GRID = tuple(2e-3 * 2**k for k in range(6))
MAKERS = {
    # β₃ of the paper's 0.999 remembers 1,000 steps, of runs of 100,000; here in the same proportion to the run's 200
    "AdaMod": lambda p, lr: steepest.AdaMod(p, lr=lr, betas=(0.9, 0.999, 0.99)),
    "Adam": lambda p, lr: steepest.Adam(p, lr=lr),
    "unbounded": lambda p, lr: steepest.AdaMod(p, lr=lr, betas=(0.9, 0.999, 0.0)),
}


def task() -> Task:
    """The smallest transformer."""
    return language(32, 1)


def cost(on: Task, run: Fit) -> float:
    """Held-out loss at the end."""
    return on.cost(run.model, on.test)


def experiment(fast: bool, control: bool) -> Measured:
    """Held-out losses of both."""
    match = Match(task, 20, cost, None, 2, 1) if fast else Match(task, 200, cost, None, 8, 1)
    grids: dict[str, Any] = dict.fromkeys(MAKERS, GRID[::3] if fast else GRID)
    numbers, rows = compared(match, "unbounded" if control else "AdaMod", "Adam", MAKERS, grids)
    return Measured(numbers, [Dots("held-out loss", "nats a byte", rows)])


CLAIMS = (
    Claim(
        name="adamod-without-warmup",
        sentence="AdaMod needs no warm-up and improves on Adam for transformers.",
        source=Source("ding2019adaptive", "abstract; the section on neural machine translation"),
        methods=("AdaMod",),
        rows=("001-118",),
        bounds=(Bound("least", ">", 0.0, "held-out loss below Adam's without warm-up, lower end of the 90 % interval over "
                      "seeds"),),
        regime=INSIDE,
        experiment=experiment,
        control="a bound that never binds, β₃ = 0",
        seeds=8,
        minutes=0.8,
        untested="Translation, DenseNet; β₃ of 0.999 over runs of 100,000 steps: here 0.99, over 200.",
    ),
)  # fmt: skip
