"""Every named method against its paper's equations, in float64, step by step to 1e-12."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import steepest
from tests.collect import BROKEN, listed
from tests.oracle.problems import Game, Linear, Net, Problem, Quadratic, join
from tests.rows import PAUSES, STEPS, Row

ROWS: list[Row] = listed("ORACLE")
EDGES: list[Row] = listed("EDGES")
TOLERANCE = 1e-12  # relative, over all steps; float64 keeps 2e-16, and two dozen steps add some of them up


@pytest.mark.parametrize("lift", ["eager", "auto"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_equals_the_paper(row: Row, lift: str) -> None:
    assert row.worst(lift=lift) < TOLERANCE


@pytest.mark.parametrize("row", [r for r in ROWS if not r.game], ids=lambda row: row.id)
def test_equals_the_paper_through_zero_gradients(row: Row) -> None:
    """All-zero gradients at the first step and later: the paper's equations go on, and so do we."""
    assert row.worst(PAUSES) < TOLERANCE


@pytest.mark.parametrize("row", EDGES, ids=lambda row: row.id)
def test_equals_the_paper_at_the_edges(row: Row) -> None:
    assert row.worst(lift="eager") < TOLERANCE


@pytest.mark.parametrize("row", [r for r in ROWS if not r.elsewhere], ids=lambda row: row.id)
def test_the_loss_returned_is_the_one_where_the_step_began(row: Row) -> None:
    *_, (_, trail) = row.gaps(lift="eager", count=6)
    problem = row.problem()
    here = [join(problem.start), *trail.x]
    assert trail.returned == pytest.approx([problem.loss(here[t], t + 1) for t in range(6)], rel=1e-13)


#: methods whose equations the net of the rows cannot follow, and the file that has them
ELSEWHERE = {"ConEF": "tests/papers/li2023_conef.py: blocks are drawn, and the memory is a sketch of them"}


def test_every_named_method_has_a_row() -> None:
    assert {r.make for r in ROWS if isinstance(r.make, str)} == set(steepest.methods) - set(ELSEWHERE), BROKEN


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_the_run_moves(row: Row) -> None:
    """A run that stands still would prove nothing."""
    *_, (_, trail) = row.gaps()
    assert len(trail.x) == STEPS
    assert float(np.abs(trail.x[-1] - join(row.problem().start)).max()) > 0.05
    assert len({x.tobytes() for x in trail.x}) >= STEPS - row.pauses


@pytest.mark.parametrize("problem", [Net(), Net((2,)), Game(), Quadratic([1, 3], [1.0, 2.0]), Linear([1, 2], [3, 4])],
                         ids=lambda p: type(p).__name__)  # fmt: skip
@pytest.mark.parametrize("t", [1, 2, 3])
def test_problems_are_written_twice_alike(problem: Problem, t: int) -> None:
    """Loss and gradient by hand in numpy are torch's."""
    p = [torch.from_numpy(s.copy()).requires_grad_() for s in problem.start]
    loss = problem.torch_loss(p, t)
    grads = torch.autograd.grad(loss, p, allow_unused=True)
    signs = [-1.0 if up else 1.0 for up in problem.maximizes or (False,) * len(p)]
    want = join([sign * (g.numpy() if g is not None else 0.0) for g, sign in zip(grads, signs, strict=True)])
    assert math.isclose(loss.item(), problem.loss(join(problem.start), t), rel_tol=1e-14)
    assert np.allclose(problem.grad(join(problem.start), t), want, rtol=1e-13, atol=1e-15)
