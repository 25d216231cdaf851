"""Tuning a linear model at the price of one run: all learning rates and all seeds in one batched computation.

Row i of the grid is a parameter group with learning rate i that holds the weights of every seed; the losses are summed,
so no run feels another. That is exact for methods that work coordinate by coordinate (SGD, Adam), and for them only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from steepest.claims.lab.tasks import Task

HUGE = 1e9  # stands for the loss of a run that diverged


@dataclass(frozen=True)
class Score:
    """How a model ended: mean training loss, mean held-out loss, part of the held-out rows that are right."""

    train: float
    test: float
    accuracy: float


def score(task: Task, model: nn.Module) -> Score:
    """Measure a model."""
    train, test = task.cost(model, task.train), task.cost(model, task.test)
    right = task.accuracy(model) if task.test[1].dtype is torch.long else 0.0
    return Score(min(train, HUGE) if train == train else HUGE, min(test, HUGE) if test == test else HUGE, right)


def tune(task: Task, make: Callable[[Any], torch.optim.Optimizer], lrs: Sequence[float], seeds: int, steps: int,
         averaged: bool = False, decay: Callable[[float], float] | None = None) -> list[list[Score]]:  # fmt: skip
    """Train a linear model from zero with each learning rate and seed.

    Args:
        task: its model must be one linear layer that starts from zero.
        make: the optimizer of parameter groups that have their learning rate; a diverging row must not stop the others
            (``nonfinite="propagate"``).
        lrs: the grid.
        seeds: 0, 1, ...; batches are those of ``task.batches(seed)``.
        steps: how many.
        averaged: score the polynomial-decay average (γ = 8) of the iterates.
        decay: multiplier of the learning rates as a function of the part that is done.

    Returns:
        Scores by learning rate and seed.
    """
    linear = next(m for m in task.model(0).modules() if isinstance(m, nn.Linear))
    inputs, outputs = linear.in_features, linear.out_features
    rows = [[torch.nn.Parameter(torch.zeros(seeds, inputs, outputs)), torch.nn.Parameter(torch.zeros(seeds, 1, outputs))]
            for _ in lrs]  # fmt: skip
    opt = make([{"params": row, "lr": lr} for row, lr in zip(rows, lrs, strict=True)])
    params = [p for row in rows for p in row]
    means = [p.detach().clone() for p in params]
    streams = [task.batches(seed) for seed in range(seeds)]
    for k in range(steps):
        pairs = [next(stream) for stream in streams]
        x, y = torch.stack([a for a, _ in pairs]), torch.stack([b for _, b in pairs])
        opt.zero_grad()
        weights, biases = torch.stack([row[0] for row in rows]), torch.stack([row[1] for row in rows])
        out = (x @ weights + biases).flatten(0, 2)
        (task.loss(out, torch.stack([y] * len(lrs)).flatten(0, 2)) * (len(lrs) * seeds)).backward()
        if decay is not None:
            for group, lr in zip(opt.param_groups, lrs, strict=True):
                group["lr"] = lr * decay(k / steps)
        opt.step()
        if averaged:
            torch._foreach_lerp_(means, [p.detach() for p in params], 9 / (k + 9))
    if averaged:
        rows = [[*means[2 * i : 2 * i + 2]] for i in range(len(lrs))]  # type: ignore[list-item]
    return [[_scored(task, row, s) for s in range(seeds)] for row in rows]


def _scored(task: Task, row: Sequence[Tensor], seed: int) -> Score:
    model = task.model(0)
    linear = next(m for m in model.modules() if isinstance(m, nn.Linear))
    with torch.no_grad():
        linear.weight.copy_(row[0][seed].T)
        linear.bias.copy_(row[1][seed, 0])
    return score(task, model)
