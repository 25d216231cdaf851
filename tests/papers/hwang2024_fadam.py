"""FAdam (Hwang 2024, arXiv:2405.12807): Adam as natural gradient descent with a diagonal empirical Fisher matrix."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from torch import Tensor, nn

import steepest
from steepest import direction as D
from tests.laws.common import directions, few, streams
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import SHAPES, Linear, Problem, Vector, join
from tests.rows import B, Hand, Row, Setting

CONTRACT = {
    "FAdam": Setting({"lr": 0.03, "eps": 1e-3, "weight_decay": 0.1}, root=True,
                     loose={"lifts_agree": (2e-6, "eagerly the root mean square is a float32 sum")}),
}  # fmt: skip


def rms(u: Vector) -> float:
    return float(np.sqrt(np.mean(u**2)))


def fadam(f: Problem, x: Vector, etas: Rates, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, eps2: float = 0.01,
          p: float = 0.5, c: float = 1.0, lam: float = 1e-3) -> Path:  # fmt: skip
    """Algorithm 1, tensor by tensor; 0 where nothing is known."""
    fisher = [np.ones(X.shape) for X in f.parts(x)]
    m = [np.zeros(X.shape) for X in f.parts(x)]

    def natural(u: Vector, F: Vector) -> Vector:
        u = np.divide(u, F, out=np.zeros_like(u), where=F > 0)
        return np.asarray(u / max(1.0, rms(u) / c))

    for t, eta in enumerate(etas, 1):
        done = []
        b2t = b2 * (1 - b2 ** (t - 1)) / (1 - b2**t)
        for k, (X, G) in enumerate(zip(f.parts(x), f.parts(f.grad(x, t)), strict=True)):
            fisher[k] = b2t * fisher[k] + (1 - b2t) * G**2
            F = fisher[k] ** p + min(eps, eps2 * rms(G))
            m[k] = b1 * m[k] + (1 - b1) * natural(G, F)
            done.append(X - eta * (m[k] + lam * natural(np.array(X), F)))
        x = join(done)
        yield x


ORACLE = [
    Row("FAdam", fadam, {"betas": (0.8, 0.9), "weight_decay": 0.1}, {**B, "lam": 0.1}, lr=0.03),
    Row("FAdam", fadam, {"eps": 0.01, "eps2": 0.1, "power": 0.3, "clip": 0.5}, {"eps": 0.01, "eps2": 0.1, "p": 0.3, "c": 0.5},
        lr=0.1),
]  # fmt: skip
EDGES = [Row("FAdam", fadam, {"clip": 0.7}, {"c": 0.7}, lr=0.03, on=SHAPES)]
HANDS = [
    # f₁ = 9, F = 3 + 1, g/F = (¾, ¾) of rms ¾ is cut to (½, ½), m = (¼, ¼), x/F = (½, -½) is not: d₁ = (½, 0);
    # β̂₂ = ⅓, f₂ = 9, (-½, ½), m = (-⅛, ⅜), x/F = (0.475, -½): d₂ = (0.1125, 0.125)
    Hand("FAdam", steepest.FAdam, {"betas": (0.5, 0.5), "eps": 1.0, "eps2": 10.0, "clip": 0.5, "weight_decay": 0.5}, fadam,
         {"b1": 0.5, "b2": 0.5, "eps": 1.0, "eps2": 10.0, "c": 0.5, "lam": 0.5}, Linear([2, -2], [3, 3], [-3, 3]), [0.2, 0.4],
         [(1.9, -2.0), (1.855, -2.05)]),
]  # fmt: skip

DIRECTIONS = {"FAdam": D.FAdam}
SCALE_FREE = {"FAdam": lambda: D.FAdam(eps=0.0)}
COLLAPSES = {"FAdam without memory is sign": (D.FAdam(beta1=0.0, beta2=0.0, eps=0.0), D.Sign())}


@few
@given(gs=streams(length=6))
def test_its_length_is_bounded(gs: list[Tensor]) -> None:
    """The root mean square of d is at most c, for momentum is an average of cut gradients."""
    for d in directions(D.FAdam(clip=0.3), gs):
        assert d.square().mean().sqrt() <= 0.3 * (1 + 1e-9)


def test_a_first_gradient_of_zero_moves_nothing() -> None:
    x = nn.Parameter(torch.ones(3))
    opt = steepest.FAdam([x], weight_decay=0.1)
    opt.step(lambda: (0 * x).sum())
    assert x.tolist() == [1.0] * 3 and not opt.counters.skipped
