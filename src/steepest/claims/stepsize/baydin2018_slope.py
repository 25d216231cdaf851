"""A step size from agreements and slopes of gradients does the work of a search for the learning rate.

A net and a linear model on the digits, and a byte-level language model: Auto, with nothing chosen, against AdamW at the
best of seven constant learning rates, by the held-out loss at the end. In the control nothing is heard, so the step
size stays what it was at the first step.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from functools import cache, partial
from types import SimpleNamespace
from typing import Any

import steepest
from steepest.claims.lab.base import Bound, Claim, Dots, Measured, Source
from steepest.claims.lab.tasks import Task, digits, fit, language

GRID = tuple(10.0 ** (-4 + 0.5 * k) for k in range(7))  # 1e-4 to 1e-1
TASKS: dict[str, Callable[[], Task]] = {
    "digits, linear": lambda: digits(batch=64),
    "digits, net": lambda: digits(64, batch=64),
    "language": language,
}


class Deaf(steepest.stepsize.Slope):
    """A step size that stays where it starts."""

    def eta(self, sums: Mapping[str, float], memory: dict[str, float], h: SimpleNamespace, loss: float) -> float:
        """Nothing is learnt."""
        memory["found"] = float(h.usual) / 100
        return memory["found"]


def deaf(params: Any) -> steepest.Auto:
    """Auto that hears nothing."""
    opt = steepest.Auto(params)
    opt.step_size = Deaf()
    return opt


@cache
def tuned(name: str, seed: int, steps: int) -> dict[float, float]:
    """Held-out losses of AdamW by learning rate."""
    task = TASKS[name]()
    ends = {lr: fit(task, partial(steepest.AdamW, lr=lr), seed, steps) for lr in GRID}
    return {lr: task.cost(end.model, task.test) for lr, end in ends.items()}


@cache
def found(name: str, seed: int, steps: int, control: bool) -> tuple[float, float]:
    """The held-out loss of what Auto returns, and the step size it found."""
    task = TASKS[name]()
    run = fit(task, deaf if control else steepest.Auto, seed, steps)
    assert isinstance(run.opt, steepest.Optimizer)
    with run.opt.averaged():
        loss = task.cost(run.model, task.test)
    return loss, float(run.opt.param_groups[0]["found"])


def experiment(fast: bool, control: bool) -> Measured:
    """The ratio of held-out losses, median over seeds, for each task."""
    seeds, steps = (1, 150) if fast else (3, 400)
    names = ("digits, linear", "digits, net") if fast else tuple(TASKS)
    numbers: dict[str, float] = {}
    for name in names:
        ends = [found(name, s, steps, control) for s in range(seeds)]
        grids = [tuned(name, s, steps) for s in range(seeds)]
        mean = {lr: statistics.fmean(grid[lr] for grid in grids) for lr in GRID}
        best = min(mean, key=mean.__getitem__)
        numbers[f"ratio, {name}"] = statistics.median(e[0] / g[best] for e, g in zip(ends, grids, strict=True))
        numbers[f"best lr, {name}"] = best
        numbers[f"found, {name}"] = statistics.median(e[1] for e in ends)
    numbers["worst"] = max(v for k, v in numbers.items() if k.startswith("ratio"))
    dots = {name: [found(name, s, steps, control)[0] / tuned(name, s, steps)[numbers[f"best lr, {name}"]] for s in range(seeds)]
            for name in names}  # fmt: skip
    return Measured(
        numbers, [Dots("held-out loss relative to AdamW at its best learning rate", "ratio", dots, {"goal": 1.05})]
    )


CLAIMS = (
    Claim(
        name="slopes-find-the-step",
        sentence="With nothing chosen Auto ends within 5 % of the held-out loss of AdamW at the best of seven constant "
        "learning rates.",
        source=Source("baydin2018hypergradient", "the inner product is theirs; sentence and rule are this library's"),
        methods=("Auto",),
        bounds=(Bound("worst", "≤", 1.05, "held-out loss relative to AdamW's at its best rate, median, worst task"),),
        experiment=experiment,
        control="nothing is heard: the step size stays a hundredth of the usual one",
        seeds=3,
        minutes=2.0,
        untested="Models of more than some hundred thousand weights, fine-tuning, runs of more than a few hundred steps.",
    ),
)
