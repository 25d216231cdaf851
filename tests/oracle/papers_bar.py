"""BAR's Algorithms 2 and 3 (arXiv:2410.14802) in numpy: rescale the pairs, then update, in the paper's order."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tests.oracle.equations import Moments, Path, Rates
from tests.oracle.problems import Problem, Vector, join


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
