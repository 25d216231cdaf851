"""Rows of the oracle for BAR: a net whose matrices are a pair, all variants, every schedule, two directions."""

from __future__ import annotations

from typing import Any

import steepest
from steepest import point
from tests.oracle.papers_bar import bar
from tests.oracle.problems import Quadratic

PAIR, MIRROR = ((0, 2),), ((2, 0),)


def bar_sgd(params: Any, **options: Any) -> steepest.Optimizer:
    """BAR over plain gradients, as in the paper's toy problems."""
    return steepest.Optimizer(params, point=point.BAR(PAIR, alpha=1.5), **options)


def over_adam(T: int = 0, **both: Any) -> dict[str, Any]:
    """A row on the net, with Adam's moments short."""
    return {"make": "BAR", "paper": bar, "hyper": {**both, "steps": T, "betas": (0.8, 0.9)},
            "terms": {**both, "T": T, "b1": 0.8, "b2": 0.9}, "lr": 0.03}  # fmt: skip


ROWS: list[dict[str, Any]] = [
    over_adam(pairs=PAIR, alpha=2.0),
    over_adam(pairs=MIRROR, variant="o", schedule="linear", T=15),  # α is zero before the run is over
    over_adam(pairs=PAIR, schedule="cosine", T=15),
    over_adam(pairs=PAIR, alpha=1.7, variant="proportional", schedule="linear", T=30),
    {"make": bar_sgd, "paper": bar, "terms": {"pairs": PAIR, "alpha": 1.5, "adam": False}},
]

#: equally long factors and gradients: the first grows (nBAR) or shrinks (oBAR)
EDGES: list[dict[str, Any]] = [
    {"make": "BAR", "paper": bar, "hyper": same, "terms": same, "on": Quadratic([1, 1], [0.7], [-0.7])}
    for same in ({"pairs": ((0, 1),), "variant": v} for v in ("n", "o"))
]
