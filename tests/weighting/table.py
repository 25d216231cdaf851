"""The table of the room of weights and orders: how each sampler is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from steepest import weighting
from steepest.weighting import Order

N = 23


@dataclass(frozen=True)
class Row:
    """One sampler of N samples.

    Args:
        make: from the options that all have.
        once: every sample comes just once an epoch.
        moves: epochs have different orders.
        bad: calls that are refused, and the words that are said.
    """

    make: Callable[..., Order]
    once: bool = True
    moves: bool = True
    bad: tuple[tuple[Callable[[], Any], str], ...] = ()


def weighted(**options: int) -> Order:
    return weighting.Weighted(torch.arange(N) % 5, **options)


def temperature(**options: int) -> Order:
    return weighting.Temperature([0] * 15 + [1] * 6 + [3] * 2, lambda epoch: 4.0 if epoch < 2 else 1.0, **options)


ROWS = {
    "Order": Row(lambda **o: weighting.Order(N, **o), moves=False, bad=(
        (lambda: weighting.Order(3.5), "n must be an integer, got 3.5"),
        (lambda: weighting.Order(-1), "n must be at least 0"),
        (lambda: weighting.Order(4, rank=2, world=2), "rank must be below world=2, got 2"),
        (lambda: weighting.Order(4, seed=-1), "seed must be at least 0"),
    )),
    "Shuffled": Row(lambda **o: weighting.Shuffled(range(N), **o)),
    "Weighted": Row(weighted, once=False, bad=(
        (lambda: weighting.Weighted([1.0, -1.0]), "weights must be finite, not negative"),
        (lambda: weighting.Weighted([0.0, 0.0]), "not all zero"),
        (lambda: weighting.Weighted([float("nan")]), "finite"),
        (lambda: weighting.Weighted([]), "not all zero"),
        (lambda: weighting.Weighted(torch.ones(2, 2)), r"of shape \(n,\)"),
    )),
    "Temperature": Row(temperature, once=False, bad=(
        (lambda: weighting.Temperature([0, 1], 0.5), "tau must be a finite number of at least 1, got 0.5"),
        (lambda: weighting.Temperature([0, 1], lambda epoch: float("inf")), "tau must be a finite number"),
        (lambda: weighting.Temperature([0, -1]), "domains must be integers from 0"),
        (lambda: weighting.scalarization([0, 0], 2.0), "sizes must be finite, not negative, not all zero"),
    )),
}  # fmt: skip

#: what is in the room and is no sampler
OTHERS = {"scalarization"}
