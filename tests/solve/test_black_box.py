"""Black boxes: ranks against their definition, by a loop over pairs, and who evaluates."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from steepest import solve as S
from tests.solve.laws import same, through_a_file


def bowl(x: Any) -> float:
    return float((x["a"] - 1).square().sum() + (x["b"] * x["b"]).sum())


def start() -> dict[str, Tensor]:
    return {"a": torch.zeros(2, dtype=torch.float64), "b": torch.ones(1, dtype=torch.float64)}


@pytest.mark.parametrize("k", [1, 3, None])
def test_ranks_by_their_equations(k: int | None) -> None:
    """Edges from each of the best k to whoever is worse, one pair at a time."""
    random, x = torch.Generator().manual_seed(4), np.array([0.0, 0.0, 1.0])
    for t in range(1, 8):
        xi = torch.randn(6, 3, generator=random, dtype=torch.float64).numpy()
        values = [float((p[:2] - 1) @ (p[:2] - 1) + p[2] ** 2) for p in x + 0.1 * xi]
        best = sorted(range(6), key=values.__getitem__)[: k or 6]
        edges = [(i, j) for i, j in permutations(range(6), 2) if i in best and values[i] < values[j]]
        x = x - 0.3 / t**0.5 * sum(xi[j] - xi[i] for i, j in edges) / len(edges)
    problem = S.BlackBox(bowl, start())
    result = S.solve(problem, S.RankDescent(lr=0.3, mu=0.1, m=6, k=k, decay=0.5, seed=4), max_steps=7)
    assert np.allclose(problem.flat(result.x).numpy(), x, rtol=1e-12)
    assert result.counts["nfev"] == 42
    assert result.history["pairs"][-1] == len(edges)


def test_values_only_compare() -> None:
    """An increasing function of f gives the same points to the bit."""
    solver = S.RankDescent(lr=0.2, mu=0.1, m=8)
    plain = S.solve(S.BlackBox(bowl, start()), solver, max_steps=100)
    bent = S.solve(S.BlackBox(lambda x: math.atan(bowl(x)) - 7, start()), solver, max_steps=100)
    assert same(plain.x, bent.x)
    assert plain.history["best"][-1] < 0.1


def test_asking_and_telling_is_a_step() -> None:
    """With a pool, from a file, and when asked twice."""
    solver = S.RankDescent(lr=0.2, mu=0.1, m=5)
    problem = S.BlackBox(bowl, start())
    state = solver.init(problem)
    for _ in range(6):
        assert torch.equal(solver.ask(state), solver.ask(state))
        state = solver.tell(state, torch.tensor([bowl(problem.tree(x)) for x in solver.ask(state)]))
    with ThreadPoolExecutor(2) as threads:
        pooled = S.BlackBox(bowl, start(), pool=lambda f, points: [*threads.map(f, points)])
        begun = S.solve(pooled, solver, max_steps=4)
        ended = S.solve(pooled, solver, max_steps=2, state=through_a_file(begun.state))
    assert same(ended.state["values"]["x"], state.x)
    assert ended.counts["nfev"] == 30


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(ValueError, match="k must be at most m"):
        S.RankDescent(lr=1.0, mu=1.0, m=3, k=4)
    with pytest.raises(TypeError, match="f must be a function"):
        S.BlackBox(3, start())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="given 15 points and brought 1 values"):
        S.solve(S.BlackBox(bowl, start(), pool=lambda f, points: [1.0]), S.RankDescent(lr=1.0, mu=1.0))
    flat = S.solve(S.BlackBox(lambda x: 1.0, start()), S.RankDescent(lr=1.0, mu=1.0))
    assert flat.status is S.Status.STALLED
    half = S.solve(
        S.BlackBox(lambda x: math.nan if x["a"][0] < 0 else bowl(x), start()),
        S.RankDescent(lr=0.2, mu=0.1),
        max_steps=200,
    )
    assert half.history["best"][-1] < 0.1
