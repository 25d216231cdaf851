"""Descent on factors: ScaledGD (arXiv:2302.01186, 2410.18965), plain (2301.11500, 2310.01769), SubGM (2202.08788)."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from steepest import solve as S
from tests.solve.table import FLAT, Form, Row

RANDOM = np.random.default_rng(0)
W = RANDOM.standard_normal((12, 4, 4)) / 12**0.5
WS = (W + W.transpose(0, 2, 1)) / 2
PLANTED = np.outer([1.0, -1.0, 0.5, 0.2], [1.0, -1.0, 0.5, 0.2])
X0 = np.array([[0.6, 0.1], [-0.5, 0.2], [0.3, -0.1], [0.1, 0.1]])
Y0 = np.array([[0.4, 0.2], [-0.6, 0.1], [0.2, 0.3], [0.2, -0.2]])


def observed(dtype: torch.dtype = torch.float64, form: Form = FLAT, f: Any = None, pair: bool = False) -> S.Problem:
    """All sums of the planted matrix; with f, NaN away from the start."""
    x0: Any = torch.from_numpy(X0).to(dtype)
    if pair:
        x0 = (x0, torch.from_numpy(Y0).to(dtype))
    weights = torch.from_numpy(W).to(dtype)
    y = torch.einsum("kij,ij->k", weights, torch.from_numpy(PLANTED).to(dtype))
    if f is None:
        return S.Observed.sums(weights, y, x0)
    seen: list[Tensor] = []

    def spoilt(M: Tensor) -> Tensor:
        there = torch.einsum("kij,ij->k", weights, M)
        if not seen and bool((M != 0).any()):
            seen.append(M.detach().clone())
        return there * (torch.nan if seen and bool((M != 0).any()) and not torch.equal(M, seen[0]) else 1.0)

    return S.Observed(spoilt, y, x0)


def pair(dtype: torch.dtype = torch.float64, form: Form = FLAT) -> S.Problem:
    """The same with two factors."""
    return observed(dtype, form, pair=True)


def _row(make: Any, problem: Any = observed, **more: Any) -> Row:
    bad = lambda: (make(), observed(f=1, pair=problem is pair))  # noqa: E731
    return Row(make, problem, bad, more.pop("goal", {"residual": 1e-4}), trees=False, **more)


SOLVERS = {
    "FactoredGD": _row(lambda: S.FactoredGD(0.05), steps=2000, goal={"residual": 1e-2}),
    "FactoredGD, rebalanced": _row(lambda: S.FactoredGD(0.05, rebalance=5), pair, steps=2000, goal={"residual": 1e-2}),
    "ScaledGD": _row(lambda: S.ScaledGD(0.3, damping=0.1), steps=1000, goal={"residual": 1e-3}),
    "ScaledGD, pair": _row(lambda: S.ScaledGD(0.3), pair, steps=1000, goal={"residual": 1e-3}),
    "SubgradientGD": _row(lambda: S.SubgradientGD(0.05, decay=0.98), goal={"objective": 1e-2}, steps=1000),
}


def sense(M: np.ndarray) -> np.ndarray:
    return np.array([(w * M).sum() for w in W])


def error(M: np.ndarray) -> np.ndarray:
    """A*(A(M) - y), symmetric where the planted matrix is."""
    r = sense(M) - sense(PLANTED)
    return sum(a * w for a, w in zip(r, W, strict=True))


def test_equations_of_one_factor() -> None:
    """Plain and scaled descent and SubGM on X Xᵀ against numpy."""
    plain, scaled, robust = X0.copy(), X0.copy(), X0.copy()
    for t in range(6):
        G = error(plain @ plain.T)
        plain = plain - 0.05 * (G + G.T) / 2 @ plain
        G = error(scaled @ scaled.T)
        scaled = scaled - 0.3 * (G + G.T) / 2 @ scaled @ np.linalg.inv(scaled.T @ scaled + 0.1 * np.eye(2))
        Q = sum(np.sign(a) * w for a, w in zip(sense(robust @ robust.T) - sense(PLANTED), WS, strict=True)) / 12
        robust = robust - 0.05 * 0.9**t / np.linalg.norm(Q) * 2 * Q @ robust
    for solver, x in (
        (S.FactoredGD(0.05), plain),
        (S.ScaledGD(0.3, 0.1), scaled),
        (S.SubgradientGD(0.05, 0.9), robust),
    ):
        assert np.allclose(S.solve(observed(), solver, max_steps=6).x, x, rtol=1e-11, atol=0)


def test_equations_of_two_factors() -> None:
    """Both move at once; the rebalancing keeps the product."""
    F, G = X0.copy(), Y0.copy()
    for _ in range(6):
        E = error(F @ G.T)
        F, G = F - 0.2 * E @ G @ np.linalg.inv(G.T @ G), G - 0.2 * E.T @ F @ np.linalg.inv(F.T @ F)
    found = S.solve(pair(), S.ScaledGD(0.2), max_steps=6).x
    assert np.allclose(found[0], F, rtol=1e-9, atol=1e-12)
    assert np.allclose(found[1], G, rtol=1e-9, atol=1e-12)
    F, G = X0.copy(), Y0.copy()
    for t in range(4):
        if t == 2:
            product = F @ G.T
            U, s, Vt = np.linalg.svd(F, full_matrices=False)
            F, G = 0.7 * U, G @ Vt.T @ np.diag(s) / 0.7
            assert np.allclose(F @ G.T, product)
        E = error(F @ G.T)
        F, G = F - 0.05 * E @ G, G - 0.05 * E.T @ F
    found = S.solve(pair(), S.FactoredGD(0.05, rebalance=2, beta=0.7), max_steps=4).x
    assert np.allclose(found[0] @ found[1].T, F @ G.T, rtol=1e-11)


def test_nystrom_is_quadratic_and_exact_for_pairs() -> None:
    """Errors square from step to step; for a pair one step of length 1 is enough."""
    U, _ = np.linalg.qr(RANDOM.standard_normal((20, 3)))
    M = torch.from_numpy(U @ np.diag([10.0, 1.0, 0.1]) @ U.T)
    start = S.nystrom(M, 3)
    whole = S.Observed(lambda Z: Z.reshape(-1), M.reshape(-1), start)
    r = S.solve(whole, S.ScaledGD(0.5), max_steps=14).history["residual"]
    small = [a for a in r if 1e-13 < a < 1e-1]
    assert r[-1] < 1e-12
    assert all(b < 3 * a**1.9 for a, b in itertools.pairwise(small))
    both = S.Observed(lambda Z: Z.reshape(-1), M.reshape(-1), (start, torch.zeros(20, 3).double()))
    assert S.solve(both, S.ScaledGD(1.0), max_steps=1).history["residual"][-1] < 1e-10


def test_observed_says_what_is_wrong() -> None:
    """Shapes, numbers, and a rebalancing without a pair."""
    eye = torch.eye(2)
    with pytest.raises(ValueError, match="pair"):
        S.Observed(lambda M: M.reshape(-1), torch.ones(4), torch.ones(4))
    with pytest.raises(ValueError, match="A gives"):
        S.Observed(lambda M: M.reshape(-1), torch.ones(3), eye)
    with pytest.raises(ValueError, match="finite"):
        S.Observed(lambda M: M.reshape(-1), torch.full((4,), torch.nan), eye)
    with pytest.raises(TypeError, match="pair"):
        S.solve(observed(), S.FactoredGD(0.1, rebalance=3))


def test_entries_are_sums_with_one_weight_each() -> None:
    """The adjoint puts them where they were."""
    i, j = torch.tensor([0, 1, 1]), torch.tensor([1, 0, 1])
    problem = S.Observed.entries(i, j, torch.ones(3), (torch.ones(2, 1), torch.ones(2, 1)))
    assert torch.equal(problem.back(torch.tensor([2.0, 3.0, 5.0])), torch.tensor([[0.0, 2.0], [3.0, 5.0]]))
