"""Digits with wrong labels: where methods that seek flat minima claim to shine."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from functools import cache

import torch

import steepest
from steepest.claims.tasks import Task, digits, fit


@cache
def wrong_labels(part: float, batch: int = 50) -> Task:
    """Digits by a net of 64 units, with this part of the training labels replaced by random ones."""
    task = digits(64, batch=batch)
    x, y = task.train
    g = torch.Generator().manual_seed(11)
    wrong = torch.rand(len(y), generator=g) < part
    y = torch.where(wrong, torch.randint(10, y.shape, generator=g), y)
    return Task(task.model, (x, y), task.test, task.loss, task.batch)


@cache
def accuracy(part: float, method: str, seed: int, epochs: int, batch: int = 50, **hyper: float) -> float:
    """Held-out accuracy in per cent by a method with momentum 0.9 and these hyper-parameters."""
    task = wrong_labels(part, batch)
    make = getattr(steepest, method)
    run = fit(task, lambda p: make(p, lr=0.05, momentum=0.9, **hyper), seed, epochs * task.epoch)
    return 100 * task.accuracy(run.model)


def best_of(part: float, method: str, seeds: int, epochs: int, grid: Sequence[dict[str, float]],
            batch: int = 50) -> list[float]:  # fmt: skip
    """Accuracies of the seeds with the hyper-parameters whose mean over them is best."""
    found = [[accuracy(part, method, s, epochs, batch, **hyper) for s in range(seeds)] for hyper in grid]
    return max(found, key=statistics.mean)
