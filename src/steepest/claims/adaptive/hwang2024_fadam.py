"""FAdam: the corrections that follow from reading Adam as natural gradient descent make it better.

The next byte of Python's source by a small transformer, paired seeds, each method at the best of as many learning rates, chosen
on seeds of their own, with a cosine schedule and decay of 0.001 for both. The control keeps everything but the natural
momentum: it averages gradients and divides the average.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

import steepest
from steepest.claims.lab.base import Bound, Claim, Dots, Measured, Source
from steepest.claims.lab.paired import INSIDE, Match, compared
from steepest.claims.lab.tasks import Fit, Task, cosine, language

GRID = tuple(2e-3 * 2**k for k in range(6))


class DividedLast(steepest.direction.FAdam):
    """FAdam that divides and cuts the momentum, not what enters it."""

    pointwise = False

    def __call__(
        self, g: Tensor, x: Tensor, s: SimpleNamespace, h: SimpleNamespace
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The map."""

        def cut(u: Tensor) -> Tensor:
            u = torch.where(F > 0, u / F, 0.0)
            size: Tensor = (u.square().mean().sqrt() / h.clip).clamp(min=1.0)
            return u / size

        f = s.f * h.past + g * g * (1 - h.past)
        F = f.sqrt() + (g.square().mean().sqrt() * h.eps2).clamp(max=h.eps)
        m = s.m * h.beta1 + g * (1 - h.beta1)
        return cut(m) + cut(x) * h.weight_decay, {"m": m, "f": f}


MAKERS = {
    "FAdam": lambda p, lr: steepest.FAdam(p, lr=lr),
    "AdamW": lambda p, lr: steepest.AdamW(p, lr=lr, weight_decay=1e-3),
    "divided last": lambda p, lr: steepest.Optimizer(p, lr=lr, direction=DividedLast(weight_decay=1e-3)),
}


def task() -> Task:
    """The smallest transformer."""
    return language(32, 1)


def cost(on: Task, run: Fit) -> float:
    """Held-out loss at the end."""
    return on.cost(run.model, on.test)


def experiment(fast: bool, control: bool) -> Measured:
    """Held-out losses of both."""
    match = Match(task, 20, cost, cosine, 2, 1) if fast else Match(task, 200, cost, cosine, 8, 1)
    grids: dict[str, Any] = dict.fromkeys(MAKERS, GRID[::3] if fast else GRID)
    numbers, rows = compared(match, "divided last" if control else "FAdam", "AdamW", MAKERS, grids)
    return Measured(numbers, [Dots("held-out loss", "nats a byte", rows)])


CLAIMS = (
    Claim(
        name="fadam-beats-adamw",
        sentence="Fisher Adam outperforms Adam and AdamW.",
        source=Source("hwang2024fadam", "abstract"),
        methods=("FAdam",),
        rows=("001-135",),
        bounds=(Bound("least", ">", 0.0, "held-out loss below AdamW's, lower end of the 90 % interval over seeds"),),
        regime=INSIDE,
        experiment=experiment,
        control="momentum over gradients as they are, divided afterwards",
        seeds=8,
        minutes=0.9,
        untested="Speech recognition and VQ-VAE; language models larger than one layer.",
    ),
)
