"""Digits with wrong labels: where methods that seek flat minima claim to shine."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from functools import cache

import torch

import steepest
from steepest.claims.lab.tasks import Task, digits, fit


@cache
def wrong_labels(part: float, batch: int = 50, draw: int = 11) -> Task:
    """Digits by a net of 64 units, with this part of the training labels replaced by random ones."""
    task = digits(64, batch=batch)
    x, y = task.train
    g = torch.Generator().manual_seed(draw)
    wrong = torch.rand(len(y), generator=g) < part
    y = torch.where(wrong, torch.randint(10, y.shape, generator=g), y)
    return Task(task.model, (x, y), task.test, task.loss, task.batch)


@cache
def accuracy(
    part: float, method: str, seed: int, epochs: int, batch: int = 50, draw: int = 11, **hyper: float
) -> float:
    """Held-out accuracy in per cent by a method with momentum 0.9 and these hyper-parameters."""
    task = wrong_labels(part, batch, draw)
    make = getattr(steepest, method)
    run = fit(task, lambda p: make(p, lr=0.05, momentum=0.9, **hyper), seed, epochs * task.epoch)
    return 100 * task.accuracy(run.model)


def best_of(part: float, method: str, seeds: int, epochs: int, grid: Sequence[dict[str, float]],
            batch: int = 50) -> list[float]:  # fmt: skip
    """Accuracies of the seeds with the hyper-parameters whose mean over them is best."""
    found = [[accuracy(part, method, s, epochs, batch, **hyper) for s in range(seeds)] for hyper in grid]
    return max(found, key=statistics.mean)


def chosen(run: Callable[..., float], grid: Sequence[dict[str, float]], choose: Sequence[int],
           judge: Sequence[int]) -> list[float]:  # fmt: skip
    """Results on some draws of the hyper-parameters whose mean on others is best, so that no grid is luckier than another."""
    best = max(grid, key=lambda hyper: statistics.mean(run(draw, **hyper) for draw in choose))
    return [run(draw, **best) for draw in judge]


def paired(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float]:
    """The mean difference over draws, and its standard error."""
    gains = [a - b for a, b in zip(ours, theirs, strict=True)]
    return statistics.mean(gains), statistics.stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else 0.0
