"""BAR (Li et al. 2024, arXiv:2410.14802): the balance of pairs of factors, in all variants and schedules."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import steepest
from steepest import point
from tests.oracle.equations import Moments, Path, Rates
from tests.oracle.problems import Problem, Quadratic, Vector, join
from tests.rows import Row, Setting


def bar_sgd(params: Any, **options: Any) -> steepest.Optimizer:
    """BAR over plain gradients, as in the paper's toy problems."""
    return steepest.Optimizer(params, point=point.BAR(PAIR, alpha=1.5), **options)


def bar(f: Problem, x: Vector, etas: Rates, pairs: Sequence[tuple[int, int]], alpha: float = 0.5, variant: str = "n",
        schedule: str = "constant", T: int = 0, adam: bool = True, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8,
        lam: float = 0.0) -> Path:  # fmt: skip
    d = Moments(b1, b2, eps)
    for t, eta in enumerate(etas):
        grad = f.grad(x, t + 1)
        left = {"constant": 1.0, "linear": max(0.0, 1 - t / max(T, 1)),
                "cosine": 0.5 + 0.5 * math.cos(math.pi * min(1.0, t / max(T, 1)))}[schedule]  # fmt: skip
        a = alpha * left
        w, g = [p.copy() for p in f.parts(x)], f.parts(grad)
        for i, j in pairs:
            if variant == "proportional":  # theorem 2's rate of SAM, as one factor for each half
                gx, gy = (float(np.sum(g[k] ** 2)) for k in (i, j))
                size = float(np.sum(w[i] ** 2) + np.sum(w[j] ** 2))
                s = a * (gx - gy) / (math.sqrt(gx + gy) * size) if gx + gy else 0.0
                w[i], w[j] = w[i] * (1 + eta * s), w[j] * (1 - eta * s)
                continue
            if variant == "n":
                if not g[i].any() and not g[j].any():
                    continue  # ours: the paper's line 4 has them grow, for no reason
                grows = np.linalg.norm(g[i]) >= np.linalg.norm(g[j])
            else:
                grows = not np.linalg.norm(w[i]) >= np.linalg.norm(w[j])
            w[i] = w[i] * (1 + a * eta if grows else 1 - a * eta)
            w[j] = w[j] * (1 - a * eta if grows else 1 + a * eta)
        x = join(w)
        x = x - eta * ((d(grad) if adam else grad) + lam * x)
        yield x


PAIR, MIRROR = ((0, 2),), ((2, 0),)


def over_adam(T: int = 0, **both: Any) -> Row:
    """A row on the net, with Adam's moments short."""
    return Row("BAR", bar, {**both, "steps": T, "betas": (0.8, 0.9)}, {**both, "T": T, "b1": 0.8, "b2": 0.9}, lr=0.03)


class BAR(steepest.BAR):
    """With the first and the fourth parameter as its pair, the two matrices of most worlds, or with none."""

    def __init__(self, params: Any, **options: Any) -> None:
        params = list(params)
        flat = [p for group in params for p in group["params"]] if isinstance(params[0], dict) else params
        super().__init__(params, pairs=((0, 3),) if len(flat) > 3 else (), **options)


CONTRACT = {
    "BAR": Setting(
        {"lr": 0.03, "alpha": 0.3, "weight_decay": 0.1}, whole="the halves of a pair are compared", root=True, make=BAR
    ),
}


ORACLE = [
    over_adam(pairs=PAIR, alpha=2.0),
    over_adam(pairs=MIRROR, variant="o", schedule="linear", T=15),  # α is zero before the run is over
    over_adam(pairs=PAIR, schedule="cosine", T=15),
    over_adam(pairs=PAIR, alpha=1.7, variant="proportional", schedule="linear", T=30),
    Row(bar_sgd, bar, terms={"pairs": PAIR, "alpha": 1.5, "adam": False}),
]  # fmt: skip
EDGES = [
    # equally long factors and gradients: the first grows (nBAR) or shrinks (oBAR)
    *(Row("BAR", bar, same, same, on=Quadratic([1, 1], [0.7], [-0.7]))
      for same in ({"pairs": ((0, 1),), "variant": v} for v in ("n", "o"))),
]  # fmt: skip
