"""FRUGAL (Zmushko et al. 2024, arXiv:2411.07837): state in a few columns, signs in the rest."""

from __future__ import annotations

import numpy as np

import steepest
from tests.oracle.equations import low_rank
from tests.oracle.problems import Linear, follow
from tests.rows import HALF, HALF_TERMS, LOW, LOW_TERMS, SQUARE, Row, Setting, by_hand

CONTRACT = {
    "FRUGAL": Setting(
        {"lr": 0.02, "rank": 2, "every": 3, "weight_decay": 0.1},
        shaped="matrices get new coordinates",
        root=True,
        exceptions={"a_group_goes_as_it_would_alone": "random columns are drawn by the parameter's place among all"},
    ),
}


ORACLE = [
    Row("FRUGAL", low_rank, {**LOW, "rest": 0.3}, {**LOW_TERMS, "kind": "columns", "rest": 0.3},
        lr=0.03, sees=True),
    Row("FRUGAL", low_rank, {**LOW, "projection": "svd"}, {**LOW_TERMS, "kind": "svd", "rest": 1.0},
        lr=0.03, sees=True),
]  # fmt: skip
EDGES = [
    Row("FRUGAL", low_rank, {**LOW, "rank": 1, "projection": "random", "rest": 0.0},
        {**LOW_TERMS, "rank": 1, "kind": "random", "rest": 0.0}, sees=True, on=SQUARE),
]  # fmt: skip


SAME = {
    "FRUGAL of full rank": (
        lambda p: steepest.FRUGAL(p, rank=3, rest=0.7),
        lambda p: steepest.AdamW(p, lr=0.001, weight_decay=0.0),
    ),
}


def test_frugal_by_hand() -> None:
    """Both rows have gradients (5, 1, -2), then (1, 1, -2).  The row with state moves by Adam's (5/6, 1/2, -2/3), then
    (7/12, 1/2, -2/3), the other by half of (1, 1, -1); η = 0.6, then 1.2; all from 1.
    """
    hyper = {**HALF, "rank": 1, "every": 3, "rest": 0.5}
    terms = {**HALF_TERMS, "rank": 1, "every": 3, "rest": 0.5, "kind": "columns", "lam": 0.0}
    problem = Linear(np.ones((2, 3)), [[5, 1, -2]] * 2, [[1, 1, -2]] * 2)
    full, free = [(0.5, 0.7, 1.4), (-0.2, 0.1, 2.2)], [(0.7, 0.7, 1.3), (0.1, 0.1, 1.9)]
    seen = follow(steepest.FRUGAL, problem, [0.6], lift="eager", **hyper).states[0][0]["P"]
    want = [a + b if seen[0] == 0 else b + a for a, b in zip(full, free, strict=True)]
    trail = by_hand(steepest.FRUGAL, hyper, low_rank, terms, problem, [0.6, 1.2], want, sees=True)
    assert {tuple(s[0]["P"]) for s in trail.states} == {(0,), (1,)}  # drawn anew at steps 4 and 7
    assert trail.states[3][0]["m"].tolist() == [[0.5, 0.5, -1]]  # half of the gradient of step 4: fresh moments
