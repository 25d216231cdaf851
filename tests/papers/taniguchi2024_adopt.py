"""ADOPT (Taniguchi et al. 2024, arXiv:2411.02853): Adam that converges for every β₂."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from torch import Tensor

import steepest
from steepest import direction as D
from tests.laws.common import directions, few, streams
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Linear, Problem, Vector
from tests.rows import Hand, Row, Setting

CONTRACT = {"ADOPT": Setting({"lr": 0.03, "weight_decay": 0.1}, root=True)}


def adopt(f: Problem, x: Vector, etas: Rates, b1: float = 0.9, b2: float = 0.9999, eps: float = 1e-6, lam: float = 0.0,
          clip: bool = True) -> Path:  # fmt: skip
    """Algorithm 2."""
    m, v = 0 * x, None
    for k, eta in enumerate(etas):  # k = number of earlier calls
        g = f.grad(x, k + 1)
        if v is None:
            v, x = g**2, x - eta * lam * x  # the library's choice: decay acts at the first call, too
        else:
            u = g / np.maximum(np.sqrt(v), eps)
            m = b1 * m + (1 - b1) * (np.clip(u, -(k**0.25), k**0.25) if clip else u)
            x, v = x - eta * (m + lam * x), b2 * v + (1 - b2) * g**2
        yield x


ORACLE = [
    Row("ADOPT", adopt, {"betas": (0.8, 0.99), "weight_decay": 0.1}, {"b1": 0.8, "b2": 0.99, "lam": 0.1}, lr=0.03),
    Row("ADOPT", adopt, {"betas": (0.8, 0.99), "clip": False, "eps": 0.01},
        {"b1": 0.8, "b2": 0.99, "clip": False, "eps": 0.01}, lr=0.03),
]  # fmt: skip
HANDS = [
    # call 1: v = (16, 0.01), no move; call 2: u = (1/4, clip(-3/0.5, 1)) = (0.25, -1), m = (0.125, -0.5), v₁ = 3.5²;
    # call 3: u = (clip(7/3.5, 2^¼), 0), m = (0.0625 + 2^¼/2, -0.25)
    Hand("ADOPT", steepest.ADOPT, {"betas": (0.5, 0.75), "eps": 0.5}, adopt, {"b1": 0.5, "b2": 0.75, "eps": 0.5},
         Linear([1, -1], [4, 0.1], [1, -3], [7, 0]), [0.1, 0.2, 0.4],
         [(1, -1), (0.975, -0.9), (0.95 - 0.2 * 2**0.25, -0.8)]),
]  # fmt: skip

DIRECTIONS = {"ADOPT": D.Adopt, "ADOPT unclipped": lambda: D.Adopt(clip=False)}
SCALE_FREE = {"ADOPT": lambda: D.Adopt(eps=1e-300)}


@few
@given(gs=streams(length=6))
def test_it_moves_by_its_clip_at_most(gs: list[Tensor]) -> None:
    assert all((d.abs() <= k**0.25 + 1e-12).all() for k, d in enumerate(directions(D.Adopt(beta2=0.9), gs)))
