"""diffGrad: better than Adam where gradients change.

Digits by a net of two hidden layers, 300 steps, paired seeds, each method at the best of as many learning rates, chosen on
seeds of their own. The control has half of Adam's step in diffGrad's place: a friction of ½ that does not look at the
change of the gradient, which a learning rate of twice the size undoes.
"""

from __future__ import annotations

from typing import Any

import steepest
from steepest.claims.lab.base import Bound, Claim, Dots, Measured, Source
from steepest.claims.lab.paired import INSIDE, Match, compared
from steepest.claims.lab.tasks import Fit, Task, cosine, digits

GRID = tuple(8e-3 * 2**k for k in range(6))
MAKERS = {
    "diffGrad": lambda p, lr: steepest.DiffGrad(p, lr=lr),
    "Adam": lambda p, lr: steepest.Adam(p, lr=lr),
    "half of Adam": lambda p, lr: steepest.Adam(p, lr=lr / 2),
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
    ours = "half of Adam" if control else "diffGrad"
    grids: dict[str, Any] = dict.fromkeys(MAKERS, GRID[::3] if fast else GRID)
    numbers, rows = compared(match, ours, "Adam", MAKERS, grids)
    numbers["relative"] = numbers["least"] / numbers["rival"]
    return Measured(numbers, [Dots("training loss", "nats", rows, log="y")])


CLAIMS = (
    Claim(
        name="diffgrad-beats-adam",
        sentence="diffGrad, whose steps are longer where gradients change faster, outperforms Adam.",
        source=Source("dubey2020diffgrad", "abstract; Table 2 (residual nets on CIFAR)"),
        methods=("DiffGrad",),
        rows=("001-149",),
        bounds=(Bound("relative", ">", 0.0, "training loss below Adam's, as a part of it, lower end of the 90 % interval over "
                      "seeds"),),
        regime=INSIDE,
        experiment=experiment,
        control="half of Adam's step in diffGrad's place",
        seeds=8,
        minutes=0.3,
        untested="Residual nets on CIFAR; the regret bound.",
    ),
)  # fmt: skip
