"""The papers' equations: Polyak's step and line searches along other directions, and steps from a model."""

from __future__ import annotations

import math

import numpy as np

from tests.oracle.equations import Moments, Path, Rates, dot
from tests.oracle.problems import Problem, Vector, join


def sania(f: Problem, x: Vector, etas: Rates, kind: str, b: float = 0.999, floor: float = 0.0, root: bool = False,
          f_star: float = 0.0) -> Path:  # fmt: skip
    """min ½‖w‖²_B subject to f + ⟨g, w⟩ + ½‖w‖²_B ≤ f*, with B = Σ g² or its corrected average."""
    s = 0 * x
    for t, eta in enumerate(etas, 1):
        g, here = f.grad(x, t), f.loss(x, t)
        s = s + g**2 if kind == "sum" else b * s + (1 - b) * g**2
        B = np.maximum(s if kind == "sum" else s / (1 - b**t), floor)
        B = np.sqrt(B) if root else B
        d = np.divide(g, B, out=np.zeros_like(g), where=B > 0)
        if dot(g, d) > 0:
            nu = 2 * max(here - f_star, 0.0) / dot(g, d)
            lam = 1 - math.sqrt(1 - nu) if nu <= 1 else 1.0
            x = x - eta * lam * d
        yield x


def ponos_prec(f: Problem, x: Vector, etas: Rates, c: float = 0.1, c_p: float = 0.1, delta: float = 0.5,
               most: float = 10.0, b1: float = 0.0, b2: float = 0.999, eps: float = 1e-8) -> Path:  # fmt: skip
    C, Q, lbar, moments = 0.0, 0.0, 0, Moments(b1, b2, eps)
    for t, lr in enumerate(etas, 1):
        g, here = f.grad(x, t), f.loss(x, t)
        d = moments(g)
        C = (Q * C + here) / (Q + 1)
        Q, bound = Q + 1, max(C, here)
        if dot(g, d) > 0 and here > 0:
            eta = min(here / (c_p * dot(g, d)) * delta**lbar, most)
            for tries in range(20):
                step = eta * delta**tries
                if f.loss(x - lr * step * d, t) <= bound - c * lr * step * dot(g, d):
                    x, lbar = x - lr * step * d, max(lbar + tries - 1, 0)
                    break
        yield x


def model_step(b: Vector, g: Vector, s: Vector, y: Vector, kappa: float) -> Vector:
    """The model's step for b by solving with its matrix; g, s and y are of the batch that the matrix is made of."""
    if not g.any():
        return 0 * b
    ss, yy, gg = dot(s, s), dot(y, y), dot(g, g)
    sigma = 0.5 * (math.sqrt(ss) * (math.sqrt(yy) + math.sqrt(gg) / kappa) - dot(s, y))
    H = 2 * sigma * np.eye(g.size) + np.outer(s, y) + np.outer(y, s)
    return np.asarray(-ss * np.linalg.solve(H, b))


def smb(f: Problem, x: Vector, etas: Rates, c: float = 0.1, kappa: float = 0.99, lam: float = 0.0,
        independent: bool = False) -> Path:  # fmt: skip
    """Tensor by tensor; decay (ours) is added to the move.  If independent, a gradient that fails waits for a batch."""
    waiting: Vector | None = None
    for t, lr in enumerate(etas, 1):
        g, here = f.grad(x, t), f.loss(x, t)
        move, fails = -lr * g, f.loss(x - lr * g, t) > here - c * lr * dot(g, g)
        if independent and waiting is None and fails:
            waiting = g
            yield x
            continue
        if waiting is not None or (fails and not independent):
            vectors = (g if waiting is None else waiting, g, -lr * g, f.grad(x - lr * g, t) - g)
            parts = [[part.reshape(-1) for part in f.parts(v)] for v in vectors]
            move, waiting = join([model_step(b, g, s, y, kappa) for b, g, s, y in zip(*parts, strict=True)]), None
        x = x + move - lr * lam * x
        yield x
