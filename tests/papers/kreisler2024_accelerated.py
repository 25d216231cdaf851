"""U-DoG and A-DoG (Kreisler et al. 2024, arXiv:2404.00666): accelerated distance over gradients."""

from __future__ import annotations

import math

import numpy as np

from tests.oracle.equations import Path, Rates, dot
from tests.oracle.problems import Problem, Vector
from tests.rows import NEVER_FORGETS, PIECES, SUM, Row, Setting

AVERAGE = "its first question is asked at an average of the points, as in the paper"

CONTRACT = {
    "ADoG": Setting(
        {"reps_rel": 0.01},
        whole=SUM,
        loose={"lifts_agree": PIECES},
        unguarded={"exploding-0": NEVER_FORGETS, "exploding-5": NEVER_FORGETS},
    ),
    "UDoG": Setting(
        {"reps_rel": 0.01},
        whole=SUM,
        counts=2,
        loose={
            "the_loss_comes_back": (0.01, AVERAGE),
            "dropout_is_replayed_and_norms_count_once": (1e-3, AVERAGE),
            "lifts_agree": PIECES,
        },
        unguarded={"exploding-0": NEVER_FORGETS, "exploding-5": NEVER_FORGETS},
    ),
}


def u_dog(f: Problem, x0: Vector, etas: Rates, reps: float = 1e-6) -> Path:
    """Algorithm 1 with the step sizes of Appendix G.1; the same mini-batch for m and g."""
    y, far, Q, M = x0, reps * (1 + math.sqrt(dot(x0, x0))), 0.0, 0.0
    rs: list[float] = []
    omegas: list[float] = []
    xs: list[Vector] = []
    for t, lr in enumerate(etas, 1):
        rs.append(far)
        alpha = sum(rs) / far
        omegas.append(alpha * far)
        m = f.grad(np.average([*xs, y], axis=0, weights=omegas), t)
        M = max(M, alpha**2 * dot(m, m))
        G = max(Q, M)
        xs.append(y - lr * alpha * far / math.sqrt(G) * m if G > 0 else y)
        xhat = np.average(xs, axis=0, weights=omegas)
        g = f.grad(xhat, t)
        Q += alpha**2 * dot(g - m, g - m)
        G = max(Q, M)
        y = y - lr * alpha * far / math.sqrt(G) * g if G > 0 else y
        far = max(far, math.sqrt(dot(xs[-1] - x0, xs[-1] - x0)), math.sqrt(dot(y - x0, y - x0)))
        yield xhat


def a_dog(f: Problem, x0: Vector, etas: Rates, reps: float = 1e-6) -> Path:
    """Algorithm 2: yields the point of the next gradient."""
    y = z = x0
    far, rs, alphas, G = reps * (1 + math.sqrt(dot(x0, x0))), [], [], 0.0
    rs.append(far)
    alphas.append(1.0)
    for t, lr in enumerate(etas, 1):
        tau = alphas[-1] / sum(alphas)
        x = tau * z + (1 - tau) * y
        g = f.grad(x, t)
        G += alphas[-1] ** 2 * dot(g, g)
        eta = lr * far / math.sqrt(G) if G > 0 else 0.0
        y, z = x - eta * g, z - alphas[-1] * eta * g
        far = max(far, math.sqrt(dot(z - x0, z - x0)))
        rs.append(far)
        alphas.append(sum(rs) / far)
        tau = alphas[-1] / sum(alphas)
        yield tau * z + (1 - tau) * y


ORACLE = [
    Row("UDoG", u_dog, {"reps_rel": 1e-2}, {"reps": 1e-2}, lr=1.0, elsewhere=AVERAGE),
    Row("UDoG", u_dog, {"reps_rel": 0.1}, {"reps": 0.1}, lr=0.5, returned=True, elsewhere=AVERAGE),
    Row("ADoG", a_dog, {"reps_rel": 1e-2}, {"reps": 1e-2}, lr=1.0),
]  # fmt: skip
