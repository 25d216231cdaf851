"""Lion: as good as AdamW with half the state, at a smaller learning rate.

The byte-level transformer; both methods choose among the same five learning rates. The control removes the sign: the
same mix of momentum and gradient walks as far as it is long.
"""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

from torch import Tensor

import steepest
from steepest.claims.lab.base import Bound, Claim, Lines, Measured, Source
from steepest.claims.lab.baselines import Run, last, settings, train
from steepest.claims.lab.tasks import Fit, best, cosine, fit, state_bytes

GRID = (5e-4, 1e-3, 2e-3, 5e-3, 1e-2)


class WithoutSign(steepest.direction.Lion):
    """Lion's mix of momentum and gradient, not reduced to its sign."""

    def __call__(
        self, g: Tensor, x: Tensor, s: SimpleNamespace, h: SimpleNamespace
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The mix."""
        return s.m * h.beta1 + g * (1 - h.beta1), {"m": s.m * h.beta2 + g * (1 - h.beta2)}


@cache
def unsigned(lr: float, seed: int, fast: bool) -> Run:
    """A run of the control."""
    task, steps, every = settings(fast)
    times: list[float] = []
    curve: list[float] = []

    def look(k: int, run: Fit) -> None:
        if k % every == 0:
            times.append(float(k))
            curve.append(task.cost(run.model, task.test))

    run = fit(task, lambda p: steepest.Optimizer(p, lr=lr, direction=WithoutSign()), seed, steps, look, decay=cosine)
    return Run(lr, times, curve, state_bytes(run.opt))


def chosen(run: Any, fast: bool, seeds: int) -> list[Run]:
    """Runs at the learning rate of the grid that is best on seed 0."""
    lr = best({lr: run(lr, 0, fast).curve[-1] for lr in (GRID[1::2] if fast else GRID)})
    return [run(lr, s, fast) for s in range(seeds)]


def experiment(fast: bool, control: bool) -> Measured:
    """Held-out losses, state and best learning rates."""
    seeds = 1 if fast else 3
    adam = chosen(lambda lr, s, f: train("AdamW", lr, s, f), fast, seeds)
    lion = chosen(unsigned if control else lambda lr, s, f: train("Lion", lr, s, f), fast, seeds)
    numbers = {
        "above": last(lion) - last(adam),
        "state_ratio": lion[0].state / adam[0].state,
        "lr_ratio": lion[0].lr / adam[0].lr,
        "Lion": last(lion),
        "AdamW": last(adam),
    }
    curves = {"Lion": (lion[0].times, [r.curve for r in lion]), "AdamW": (adam[0].times, [r.curve for r in adam])}
    return Measured(numbers, [Lines("held-out loss", "steps", "nats a byte", curves)])


CLAIMS = (
    Claim(
        name="lion-half-the-state",
        sentence="Lion keeps only the momentum, so it needs half of Adam's memory, is at least as good, and wants a learning "
        "rate several times smaller.",
        source=Source("chen2023lion", "abstract and the section on tuning"),
        methods=("Lion",),
        rows=("001-111", "002-08"),
        bounds=(
            Bound(
                "above",
                "≤",
                0.02,
                "nats a byte above AdamW on held-out text, both at their best of five, mean over seeds",
            ),
            Bound("state_ratio", "≤", 0.5, "bytes of optimizer state relative to AdamW's"),
            Bound("lr_ratio", "≤", 0.34, "best learning rate relative to AdamW's, on the same grid"),
        ),
        experiment=experiment,
        control="without the sign",
        seeds=3,
        minutes=2.5,
        untested="Image models, diffusion, and the growth of the gain with the batch size.",
    ),
)
