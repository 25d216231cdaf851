"""SMB (Birbil et al. 2024): a model where the plain step fails."""

from __future__ import annotations

import math

import numpy as np

import steepest
from tests.oracle.equations import Path, Rates, dot
from tests.oracle.problems import Problem, Quadratic, Vector, join
from tests.rows import STEPS, Row, Setting, by_hand

PLAIN = "the plain step is right or wrong for all tensors together"

CONTRACT = {
    "SMB": Setting(
        {"lr": 5.0, "weight_decay": 0.01},
        whole=PLAIN,
        exceptions={
            "every_question_is_counted-plain": "a second gradient is asked where the plain step fails, and only there"
        },
        worse={
            "exploding-0": "the first trial is lr ‖g‖ long and the model may turn it but need not shorten it, as in the paper"
        },
    ),
    "SMBi": Setting(
        {"lr": 5.0, "weight_decay": 0.01},
        whole=PLAIN,
        exceptions={
            "steps_are_counted_per_parameter": "a step that makes a gradient wait is no move",
            "every_question_is_counted-plain": "a second gradient is asked after a plain step that failed, and only there",
        },
        unguarded={
            "exploding-0": "the gradient that waits is used at its full length, whatever the next batch says, as in the paper"
        },
    ),
}


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


ORACLE = [
    Row("SMB", smb, {"weight_decay": 0.01}, {"lam": 0.01}, lr=8.0),
    Row("SMB", smb, {"c": 0.6, "kappa": 0.5}, {"c": 0.6, "kappa": 0.5}, lr=3.0),
    Row("SMBi", smb, {"weight_decay": 0.01}, {"lam": 0.01, "independent": True}, lr=8.0, pauses=STEPS // 2),
    Row("SMBi", smb, {"c": 0.6, "kappa": 0.5}, {"c": 0.6, "kappa": 0.5, "independent": True}, lr=3.0, pauses=STEPS // 2),
]  # fmt: skip


def test_smbi_by_hand() -> None:
    """f = x²/2 from 1, η = 4, κ = ½: from 1 to -3 the loss rises, so 1 waits.  Next, s = -4 and y = -4: σ = (4 (4 + 2) - 16)/2
    = 4, and the step is -16/(8 + 32) = -0.4.  From 0.6 the plain step fails again.
    """
    by_hand(steepest.SMBi, {"kappa": 0.5}, smb, {"kappa": 0.5, "independent": True}, Quadratic([1], [1.0]), [4.0],
          [(1.0,), (0.6,), (0.6,), (0.36,)])  # fmt: skip
