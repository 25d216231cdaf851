"""GaLore (Zhao et al. 2024, arXiv:2403.03507): Adam in the leading singular vectors of the gradient."""

from __future__ import annotations

import numpy as np

import steepest
from tests.oracle.equations import low_rank
from tests.oracle.problems import Linear
from tests.rows import HALF, HALF_TERMS, LOW, LOW_TERMS, SQUARE, Row, Setting, by_hand

CONTRACT = {
    "GaLore": Setting(
        {"lr": 0.05, "rank": 2, "every": 3, "weight_decay": 0.1}, shaped="matrices get new coordinates", root=True
    ),
}


ORACLE = [
    Row("GaLore", low_rank, {**LOW, "scale": 0.5}, {**LOW_TERMS, "kind": "svd", "scale": 0.5}, sees=True),
    Row("GaLore", low_rank, {**LOW, "projection": "random"},
        {**LOW_TERMS, "kind": "random", "scale": 0.25}, sees=True),
]  # fmt: skip
EDGES = [
    Row("GaLore", low_rank, {**LOW, "rank": 3}, {**LOW_TERMS, "rank": 3, "kind": "svd", "scale": 0.25},
        sees=True),  # of 5 x 3 and 4 x 5 the first is not projected
    Row("GaLore", low_rank, {**LOW, "rank": 1}, {**LOW_TERMS, "rank": 1, "kind": "svd", "scale": 0.25},
        sees=True, on=SQUARE),  # on the left
]  # fmt: skip


SAME = {
    "GaLore of full rank": (
        lambda p: steepest.GaLore(p, rank=2),
        lambda p: steepest.AdamW(p, lr=0.01, eps=1e-06, weight_decay=0.0),
    ),
}


def test_galore_by_hand() -> None:
    """G₁ = diag(5, 1): P = e₁, PᵀG = (5, 0, 0), N = 5/6, then G₂ = diag(1, 9) in the same P: m = 1.75, v̂ = 9, N = 7/12.
    W is all ones; decay by 0.7 and 0.4; the first entry also moves by 0.5·0.6·5/6 and 0.5·1.2·7/12.
    """
    hyper = {**HALF, "rank": 1, "every": 2, "scale": 0.5, "weight_decay": 0.5}
    terms = {**HALF_TERMS, "rank": 1, "every": 2, "scale": 0.5, "lam": 0.5, "kind": "svd"}
    W, diag = np.ones((2, 3)), lambda a, b: [[a, 0, 0], [0, b, 0]]
    problem = Linear(W, diag(5, 1), diag(1, 9), diag(0, 4))
    one, two = [0.7] * 6, [0.28] * 6
    one[0], two[0] = 0.45, 0.18 - 0.35
    trail = by_hand(steepest.GaLore, hyper, low_rank, terms, problem, [0.6, 1.2, 0.1], [one, two], sees=True)
    assert np.abs(trail.states[1][0]["P"]).tolist() == [[1], [0]]
    assert np.abs(trail.states[2][0]["P"]).tolist() == [[0], [1]]  # refreshed at the third step, from that gradient
    assert trail.states[2][0]["m"].shape == (1, 3)
    # the moments live on as they are: m = 1.75/2 in the first column, though P has turned
    assert np.abs(trail.states[2][0]["m"]).tolist() == [[0.875, 2, 0]]
