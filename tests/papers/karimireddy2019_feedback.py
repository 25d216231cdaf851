"""Error feedback (Karimireddy et al. 2019, arXiv:1901.09847): what was not sent is added to the next gradient."""

from __future__ import annotations

import numpy as np

import steepest
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Linear, Problem, Vector, join
from tests.rows import Hand, Row, Setting

SHARDS = "each process compresses its own shard, which keeps as much but not the same"

CONTRACT = {
    "CompressedSGD": Setting(
        {"lr": 0.1, "keep": 0.3},
        exceptions={"two_processes-fsdp": SHARDS, "two_processes-resumed": SHARDS, "two_processes-spoiled": SHARDS},
    ),
}


def error_feedback(f: Problem, x: Vector, etas: Rates, keep: float) -> Path:
    e = 0 * x
    for t, eta in enumerate(etas, 1):
        sent = []
        for p in f.parts(f.grad(x, t) + e):
            k = max(1, round(keep * p.size))
            largest = np.sort(np.abs(p).reshape(-1))[-k]
            sent.append(np.where(np.abs(p) >= largest, p, 0.0) if largest > 0 else 0 * p)
        delta = join(sent)
        e = f.grad(x, t) + e - delta
        x = x - eta * delta
        yield x


ORACLE = [
    Row("CompressedSGD", error_feedback, {"keep": 0.25}, {"keep": 0.25}),
]  # fmt: skip
HANDS = [
    # p₁ = g₁ = (3, -1, 2, 0.5): two largest sent, e = (0, -1, 0, 0.5); p₂ = (1, -2, 0, 1.1)
    Hand("error feedback", steepest.CompressedSGD, {"keep": 0.5}, error_feedback, {"keep": 0.5},
         Linear([0, 0, 0, 0], [3, -1, 2, 0.5], [1, -1, 0, 0.6]), [0.1, 0.2],
         [(-0.3, 0, -0.2, 0), (-0.3, 0.4, -0.2, -0.22)]),
]  # fmt: skip


SAME = {
    "everything is sent": (lambda p: steepest.CompressedSGD(p, keep=1.0), lambda p: steepest.SGD(p, lr=0.01)),
}
