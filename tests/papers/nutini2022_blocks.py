"""Greedy rules for blocks of coordinates (Nutini, Laradji & Schmidt 2022, arXiv:1712.08859)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from steepest import solve as S
from tests.solve.table import FLAT, Form, Row, data, x0

F64 = torch.float64


def quadratic(dtype: torch.dtype, form: Form = FLAT) -> S.Quadratic:
    A = data(torch.float64)[0]
    return S.Quadratic((A.T @ A / 8).to(dtype), torch.linspace(-1, 1, 5, dtype=dtype), form.wrap(x0(dtype)))


def spoilt() -> S.Quadratic:
    """Columns of NaN after those of the start."""
    H, left = quadratic(F64).H, [True] * 4
    assert isinstance(H, torch.Tensor)
    good = H
    return S.Quadratic(lambda i: good[:, i] if left and left.pop() else good[:, i] * torch.nan,
                       torch.linspace(-1, 1, 5, dtype=F64), x0(F64), diagonal=H.diagonal())  # fmt: skip


CASES = [(rule, "gradient") for rule in ("gs", "gsl", "cyclic", "random")] + [("gsd", "diagonal"), ("gsq", "matrix")]
SOLVERS = {
    f"BlockDescent, {rule}": Row(lambda r=rule, u=update: S.BlockDescent(2, r, u), quadratic,
                                 lambda r=rule, u=update: (S.BlockDescent(2, r, u), spoilt()), {"residual": 1e-3}, steps=3000)  # type: ignore[misc]
    for rule, update in CASES
}  # fmt: skip


@pytest.mark.parametrize(("rule", "update"), [*CASES, ("gsl", "matrix"), ("gsq", "gradient")])
def test_by_its_rules(rule: str, update: str) -> None:
    """Blocks (0, 1), (2, 3) and (4), each looked at on its own, with the gradient worked out anew."""
    problem = quadratic(F64)
    assert isinstance(problem.H, torch.Tensor)
    H, c, x = problem.H.numpy(), problem.c.numpy(), x0(F64).numpy().copy()
    random, blocks = torch.Generator().manual_seed(4), [[0, 1], [2, 3], [4]]
    maps = {
        "gs": lambda B: np.eye(len(B)),
        "gsl": lambda B: np.eye(len(B)) / np.linalg.norm(B, 2),
        "gsd": lambda B: np.diag(1 / np.abs(B).sum(0)),
        "gsq": np.linalg.inv,
    }
    move = maps[{"gradient": "gsl", "diagonal": "gsd", "matrix": "gsq"}[update]]
    for t in range(30):
        g = H @ x + c
        if rule == "cyclic":
            b = blocks[t % 3]
        elif rule == "random":
            b = blocks[int(torch.randint(3, (1,), generator=random))]
        else:
            b = max(blocks, key=lambda b: g[b] @ maps[rule](H[np.ix_(b, b)]) @ g[b])
        x[b] -= move(H[np.ix_(b, b)]) @ g[b]
    result = S.solve(quadratic(F64), S.BlockDescent(2, rule, update, seed=4), max_steps=30)
    assert np.allclose(result.x.numpy(), x, atol=1e-12)
    assert result.history["objective"][-1] == pytest.approx(x @ H @ x / 2 + c @ x, rel=1e-10)


def test_one_block_is_newton() -> None:
    result = S.solve(quadratic(F64), S.BlockDescent(9, "gsq", "matrix"), max_steps=1)
    assert result.history["residual"][-1] < 1e-12


def test_bounds_are_refused() -> None:
    with pytest.raises(TypeError, match="GreedyPairs has both"):
        S.solve(S.Quadratic(torch.eye(2), torch.zeros(2), torch.zeros(2), lower=-1.0), S.BlockDescent())
    with pytest.raises(ValueError, match="update must be one of"):
        S.BlockDescent(update="none")
