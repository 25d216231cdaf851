"""Lookahead (Zhang et al. 2019, arXiv:1907.08610) around AdamW."""

from __future__ import annotations

import steepest
from tests.oracle.equations import Moments, Path, Rates
from tests.oracle.problems import Linear, Problem, Vector
from tests.rows import MOST, MOST_TERMS, TWO, B, Hand, Row, Setting

CONTRACT = {
    "LookaheadAdamW": Setting({"lr": 0.03, "k": 3}, whole="the clock of synchronisation is the group's", root=True),
}


def lookahead_adamw(f: Problem, x: Vector, etas: Rates, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8,
                    lam: float = 0.01, alpha: float = 0.5, k: int = 5) -> Path:  # fmt: skip
    slow, d = x, Moments(b1, b2, eps)
    for t, eta in enumerate(etas, 1):
        x = x - eta * (d(f.grad(x, t)) + lam * x)
        if t % k == 0:
            x = slow = slow + alpha * (x - slow)
        yield x


ORACLE = [
    Row("LookaheadAdamW", lookahead_adamw, {"betas": (0.8, 0.9), "alpha": 0.3, "k": 4, "weight_decay": 0.1},
        {**B, "alpha": 0.3, "k": 4, "lam": 0.1}, lr=0.03),
]  # fmt: skip
HANDS = [
    # AdamW's (0.7, -0.65) and (0.59, -0.055); after two steps a quarter of the way from the start to there
    Hand("Lookahead", steepest.LookaheadAdamW, {**MOST, "weight_decay": 0.5, "alpha": 0.25, "k": 2},
         lookahead_adamw, {**MOST_TERMS, "lam": 0.5, "alpha": 0.25, "k": 2}, Linear([1, -1], *TWO), [0.3, 0.6],
         [(0.7, -0.65), (0.8975, -0.76375)]),
]  # fmt: skip


SAME = {
    "Lookahead with α = 1": (lambda p: steepest.LookaheadAdamW(p, alpha=1.0, k=2), steepest.AdamW),
}
