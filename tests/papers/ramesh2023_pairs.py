"""Greedy pairs and steepest descent in the 1-norm (Ramesh et al. 2023, arXiv:2307.01169)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import optimize
from sklearn.svm import SVC

from steepest import solve as S
from tests.solve.table import FLAT, Form, Row, data, x0

F64 = torch.float64


def quadratic(dtype: torch.dtype, form: Form = FLAT, **more: Any) -> S.Quadratic:
    A = data(torch.float64)[0]
    H = (A.T @ A / 8).to(dtype)
    c = torch.linspace(-1, 1, 5, dtype=dtype)
    return S.Quadratic(more.pop("H", H), c, form.wrap(x0(dtype)), lower=-0.6, upper=1.5, fixed_sum=True, **more)


def spoilt() -> S.Quadratic:
    """Columns of NaN, and a gradient at the start without."""
    H = (data(F64)[0].T @ data(F64)[0] / 8).clone()
    first = [True]

    def columns(i: torch.Tensor) -> torch.Tensor:
        return H[:, i] if first and first.pop() else H[:, i] * torch.nan

    return quadratic(F64, H=columns, diagonal=H.diagonal())


SOLVERS = {
    f"GreedyPairs, {rule}": Row(lambda rule=rule: S.GreedyPairs(rule), quadratic,
                                lambda rule=rule: (S.GreedyPairs(rule), spoilt()), {"violation": 1e-3}, steps=2000)  # type: ignore[misc]
    for rule in ("1-norm", "pair", "quadratic", "random")
}  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
def test_the_step_is_the_minimum(seed: int) -> None:
    """Against scipy's SLSQP on d = p - q, p, q >= 0, and one transfer after the other as the catalogue describes it."""
    random = np.random.default_rng(seed)
    n, L = 7, float(random.uniform(0.2, 2))
    g, down, up = random.normal(size=n), random.uniform(0, 0.3, n), random.uniform(0, 0.3, n)
    down[random.integers(n)] = 0
    got = S.one_norm_step(torch.tensor(g), torch.tensor(down), torch.tensor(up), L).numpy()
    d, moved = np.zeros(n), 0.0
    while True:
        i = max((k for k in range(n) if d[k] > -down[k] + 1e-15), key=lambda k: g[k])
        j = min((k for k in range(n) if d[k] < up[k] - 1e-15), key=lambda k: g[k])
        if g[i] - g[j] <= 4 * L * moved + 1e-13:
            break
        amount = min(d[i] + down[i], up[j] - d[j], (g[i] - g[j]) / (4 * L) - moved)
        d[i], d[j], moved = d[i] - amount, d[j] + amount, moved + amount
    assert np.allclose(got, d, atol=1e-12)
    found = optimize.minimize(
        lambda z: g @ (z[:n] - z[n:]) + L / 2 * z.sum() ** 2,
        np.zeros(2 * n),
        method="SLSQP",
        bounds=[(0, u) for u in up] + [(0, w) for w in down],
        constraints={"type": "eq", "fun": lambda z: (z[:n] - z[n:]).sum()},
        options={"ftol": 1e-14, "maxiter": 1000},
    )
    assert g @ got + L / 2 * np.abs(got).sum() ** 2 <= found.fun + 1e-8
    assert abs(got.sum()) < 1e-12


def test_without_bounds_it_is_the_pair() -> None:
    """By hand: g = (3, -1, 0), L = 1: a mass of (3 + 1)/4 goes from the first to the second."""
    inf = torch.full((3,), torch.inf)
    assert S.one_norm_step(torch.tensor([3.0, -1.0, 0.0]), inf, inf, 1.0).tolist() == [-1.0, 1.0, 0.0]
    half = torch.tensor([0.5, torch.inf, torch.inf])
    assert S.one_norm_step(torch.tensor([3.0, -1.0, 0.0]), half, inf, 0.1).tolist() == [-0.5, 2.5, -2.0]


@pytest.mark.parametrize("rule", ["1-norm", "pair", "quadratic"])
def test_to_the_optimum_of_libsvm(rule: str) -> None:
    random = torch.Generator().manual_seed(3)
    X = torch.randn(60, 4, generator=random, dtype=F64)
    y = (X[:, 0] + torch.randn(60, generator=random, dtype=F64)).sign()
    K = torch.exp(-0.3 * torch.cdist(X, X).square())
    result = S.solve(S.svm_dual(K, y, 2.0), S.GreedyPairs(rule), until={"violation": 1e-8}, max_steps=60_000, every=100)
    assert result.success
    theirs = SVC(C=2.0, kernel="precomputed", tol=1e-9).fit(K.numpy(), y.numpy())
    x = np.zeros(60)
    x[theirs.support_] = theirs.dual_coef_[0]
    assert np.allclose(result.x.numpy(), x, atol=1e-6)


def test_columns_by_a_function_are_the_same() -> None:
    H = quadratic(F64).H
    assert isinstance(H, torch.Tensor)
    by = quadratic(F64, H=lambda i: H[:, i], diagonal=H.diagonal())
    one, two = (S.solve(p, S.GreedyPairs(), max_steps=20) for p in (quadratic(F64), by))
    assert torch.allclose(one.x, two.x, atol=1e-14)
    assert one.counts == two.counts


def test_bad_problems_are_refused() -> None:
    eye, zero = torch.eye(2), torch.zeros(2)
    for make, words in (
        (lambda: S.Quadratic(torch.ones(2, 3), zero, zero), "symmetric with 2 rows"),
        (lambda: S.Quadratic(torch.tensor([[1.0, 2.0], [0.0, 1.0]]), zero, zero), "symmetric"),
        (lambda: S.Quadratic(eye, zero * torch.nan, zero), "finite"),
        (lambda: S.Quadratic(eye, zero, zero, lower=1.0, upper=0.0), "no x is between"),
        (lambda: S.Quadratic(eye, zero, zero, lower=1.0), "x0 must lie between"),
        (lambda: S.svm_dual(eye, torch.tensor([1.0, 0.0])), "labels must be 1 and -1, got 0"),
        (lambda: S.GreedyPairs("best"), "rule must be one of"),
    ):
        with pytest.raises(ValueError, match=words):
            make()
    with pytest.raises(TypeError, match="diagonal="):
        S.Quadratic(lambda i: eye[:, i], zero, zero)
    with pytest.raises(TypeError, match="fixed_sum=True"):
        S.solve(S.Quadratic(eye, zero, zero), S.GreedyPairs())
