"""The pieces of solvers against their definitions: projections, linear oracles, line searches, CG, L-BFGS."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import optimize
from torch import Tensor

from steepest.solve import inner

SETS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor], Callable[[Tensor], float]]] = {
    # projection, linear oracle, how far outside
    "box": (inner.box, inner.lmo_box, lambda z: float(torch.maximum(-z, z - 1).max())),
    "simplex": (lambda x: inner.simplex(x, 2.0), lambda g: inner.lmo_simplex(g, 2.0),
                lambda z: max(float(-z.min()), abs(float(z.sum()) - 2))),
    "l1": (lambda x: inner.l1_ball(x, 2.0), lambda g: inner.lmo_l1(g, 2.0), lambda z: float(z.abs().sum()) - 2),
    "l2": (lambda x: inner.l2_ball(x, 2.0), lambda g: inner.lmo_l2(g, 2.0), lambda z: float(z.norm()) - 2),
    "nuclear": (lambda x: inner.nuclear_ball(x, 2.0), lambda g: inner.lmo_nuclear(g, 2.0),
                lambda z: float(torch.linalg.svdvals(z).sum()) - 2),
    "spectrahedron": (lambda x: inner.spectrahedron(x, 2.0), lambda g: inner.lmo_spectrahedron(g, 2.0),
                      lambda z: max(float(-torch.linalg.eigvalsh(z).min()), abs(float(z.trace()) - 2),
                                    float((z - z.T).abs().max()))),
}  # fmt: skip


def point(name: str, seed: int, scale: float = 3.0) -> Tensor:
    shape = {"nuclear": (4, 3), "spectrahedron": (4, 4)}.get(name, (7,))
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * scale


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("seed", range(5))
def test_projection_and_linear_oracle_belong_together(name: str, seed: int) -> None:
    """z = P(x) exactly if z is in C and ⟨x - z, s - z⟩ ≤ 0 for all s in C; the oracle knows the worst s."""
    project, lmo, outside = SETS[name]
    x = point(name, seed)
    z = project(x)
    assert outside(z) < 1e-12
    s = lmo(z - x)
    assert outside(s) < 1e-12
    assert abs(float(((x - z) * (s - z)).sum())) < 1e-9  # equal: z itself is among the best
    assert torch.allclose(project(z), z, atol=1e-12)
    g = point(name, seed + 50)
    others = [project(point(name, k, 100.0)) for k in range(100, 140)]
    assert all(float((g * lmo(g)).sum()) <= float((g * other).sum()) + 1e-12 for other in others)


def test_the_cone_of_psd_matrices_by_moreau() -> None:
    """X = P + N with P ⪰ 0, N ⪯ 0 and ⟨P, N⟩ = 0 exactly if P is the projection."""
    X = torch.randn(5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    P = inner.psd(X)
    N = (X + X.T) / 2 - P
    assert float(torch.linalg.eigvalsh(P).min()) > -1e-12
    assert float(torch.linalg.eigvalsh(N).max()) < 1e-12
    assert abs(float((P * N).sum())) < 1e-12


@pytest.mark.parametrize("seed", range(4))
def test_plans_as_a_quadratic_program(seed: int) -> None:
    """scipy's SLSQP, on 3 by 4."""
    random = np.random.default_rng(seed)
    X, a, b = random.normal(size=(3, 4)), random.uniform(0.1, 1, 3), random.uniform(0.1, 1, 4)
    b *= a.sum() / b.sum()
    sums = [
        {"type": "eq", "fun": lambda p: p.reshape(3, 4).sum(1) - a},
        {"type": "eq", "fun": lambda p: p.reshape(3, 4).sum(0)[1:] - b[1:]},
    ]
    known = optimize.minimize(lambda p: ((p - X.reshape(-1)) ** 2).sum(), np.outer(a, b).reshape(-1) / a.sum(), method="SLSQP",
                              bounds=[(0, None)] * 12, constraints=sums, options={"ftol": 1e-15, "maxiter": 500})  # fmt: skip
    found = inner.transport(torch.tensor(X), torch.tensor(a), torch.tensor(b))
    assert np.allclose(found.numpy(), known.x.reshape(3, 4), atol=1e-6)
    assert np.allclose(found.sum(1), a, atol=1e-13)
    assert np.allclose(found.sum(0), b, atol=1e-13)
    with pytest.raises(ValueError, match="no plan has both"):
        inner.transport(torch.tensor(X), torch.tensor(a), torch.tensor(b) * 2)
    with pytest.raises(ValueError, match="positive sum for each"):
        inner.transport(torch.tensor(X), torch.tensor(b), torch.tensor(a))


def test_orthonormal_columns_by_brute_force() -> None:
    """Nobody among many is nearer, or has a smaller product; for one column it is x/‖x‖."""
    random = torch.Generator().manual_seed(0)
    X, G = torch.randn(2, 5, 3, generator=random, dtype=torch.float64)
    Q, s = inner.stiefel(X), inner.lmo_stiefel(G)
    others = [torch.linalg.qr(torch.randn(5, 3, generator=random, dtype=torch.float64))[0] for _ in range(500)]
    others += [torch.linalg.qr(Q + 0.1 * other)[0] for other in others] + [
        torch.linalg.qr(s + 0.1 * other)[0] for other in others
    ]
    assert torch.allclose(Q.T @ Q, torch.eye(3, dtype=torch.float64))
    for flips in (torch.tensor([i, j, k], dtype=torch.float64) for i in (1, -1) for j in (1, -1) for k in (1, -1)):
        assert all((X - Q).norm() <= (X - other * flips).norm() + 1e-12 for other in others)
        assert all((G * s).sum() <= (G * other * flips).sum() + 1e-12 for other in others)
    x = torch.tensor([[3.0], [4.0]])
    assert torch.allclose(inner.stiefel(x), x / 5)
    with pytest.raises(ValueError, match="no more columns than rows"):
        inner.stiefel(x.T)


def test_sets_are_their_functions() -> None:
    """Each has both oracles or says why not, knows its distance, and serves ``Constrained``."""
    from steepest import solve as S
    from steepest.solve import sets

    X = torch.randn(4, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    half = torch.full((4,), 0.5, dtype=torch.float64)
    every: list[sets.Set] = [
        sets.Box(-1.0, 0.5), sets.Simplex(2.0), sets.L1Ball(2.0), sets.L2Ball(0.5), sets.NuclearBall(),
        sets.Spectrahedron(3.0), sets.PSDCone(), sets.Stiefel(), sets.TransportPolytope(half, half),
    ]  # fmt: skip
    for one in every:
        P = one.project(X)
        assert one.distance(P) < 1e-10
        assert one.distance(X) == pytest.approx(float((X - P).norm()))
        if isinstance(one, (sets.PSDCone, sets.TransportPolytope)):
            with pytest.raises(TypeError, match="has no linear oracle"):
                one.lmo(X)
        else:
            assert one.distance(one.lmo(X)) < 1e-10
        result = S.solve(
            S.Constrained(lambda Y: (Y - X).square().sum() / 2, P, over=one), S.ProximalGradient(lr=0.5), max_steps=200
        )
        assert torch.allclose(result.x, P, atol=1e-8)
    with pytest.raises(ValueError, match="Box is empty"):
        sets.Box(1.0, 0.0)
    with pytest.raises(ValueError, match="radius must be positive"):
        sets.L1Ball(-1.0)
    with pytest.raises(TypeError, match="set of one tensor"):
        S.Constrained(torch.sum, X, over=sets.L2Ball(), project=inner.l2_ball)


def test_inside_is_left_alone() -> None:
    x = torch.full((3,), 0.1)
    assert all(torch.equal(project(x), x) for project in (inner.box, inner.l1_ball, inner.l2_ball))
    with pytest.raises(ValueError, match="radius"):
        inner.simplex(x, 0.0)


def test_the_simplex_goes_row_by_row() -> None:
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(inner.simplex(x), torch.stack([inner.simplex(row) for row in x]))


def test_soft_threshold_is_the_prox_of_the_1_norm() -> None:
    for x in (-2.0, -0.3, 0.0, 0.7, 5.0):
        grid = np.linspace(-6, 6, 120_001)
        best = grid[np.argmin(np.abs(grid) + (grid - x) ** 2 / (2 * 0.5))]
        assert float(inner.soft_threshold(torch.tensor(x), 0.5)) == pytest.approx(best, abs=1e-4)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("first", [1e-4, 1.0, 300.0])
def test_strong_wolfe(seed: int, first: float) -> None:
    """Both conditions, on the Rosenbrock function along random directions downhill, from a first trial of any size."""
    random = np.random.default_rng(seed)
    x = random.normal(size=4)
    g = optimize.rosen_der(x)
    d = -g * random.uniform(0.1, 1.0, size=4)

    def phi(a: float) -> tuple[float, float, np.ndarray[Any, Any]]:
        there = optimize.rosen_der(x + a * d)
        return float(optimize.rosen(x + a * d)), float(there @ d), there

    value, slope = float(optimize.rosen(x)), float(g @ d)
    a, found, kept = inner.strong_wolfe(phi, value, slope, g, first)
    assert a > 0
    assert found == phi(a)[0] <= value + 1e-4 * a * slope
    assert abs(phi(a)[1]) <= 0.9 * abs(slope)
    assert np.array_equal(kept, phi(a)[2])


def test_searches_that_find_nothing_say_so() -> None:
    def nan(a: float) -> tuple[float, float, str]:
        return math.nan, math.nan, "there"

    assert inner.strong_wolfe(nan, 1.0, -1.0, "here") == (0.0, 1.0, "here")
    assert inner.strong_wolfe(lambda a: (1 - a, -1.0, "there"), 1.0, 1.0, "here") == (0.0, 1.0, "here")
    assert inner.armijo(lambda a: math.nan, 1.0, -1.0) == (0.0, 1.0)
    assert inner.armijo(lambda a: 0.0, 1.0, 1.0) == (0.0, 1.0)


def test_armijo_keeps_its_rule_and_not_more() -> None:
    trials: list[float] = []

    def phi(a: float) -> float:
        trials.append(a)
        return (a - 1) ** 4

    step, value = inner.armijo(phi, 1.0, -4.0, step=16.0, c=0.1)
    assert trials == [16.0, 8.0, 4.0, 2.0, 1.0]
    assert (step, value) == (1.0, 0.0)


def test_cg_solves_and_stops_at_negative_curvature() -> None:
    random = torch.Generator().manual_seed(0)
    A = torch.randn(9, 6, generator=random, dtype=torch.float64)
    H, b = A.T @ A, torch.randn(6, generator=random, dtype=torch.float64)
    x, products = inner.conjugate_gradient(lambda v: H @ v, b, 1e-12)
    assert torch.allclose(x, torch.linalg.solve(H, b), rtol=1e-9)
    assert products <= 8
    x, products = inner.conjugate_gradient(lambda v: -(H @ v), b)
    assert torch.equal(x, b)
    assert products == 1
    D = torch.diag(torch.tensor([3.0, 1.0, -1.0], dtype=torch.float64))
    x, _ = inner.conjugate_gradient(lambda v: D @ v, torch.tensor([1.0, 1.0, 0.1], dtype=torch.float64))
    assert float(x[:2].sum()) > 0
    assert inner.conjugate_gradient(lambda v: H @ v, b * 0)[1] == 0


def test_two_loops_are_the_bfgs_matrix() -> None:
    """The dense recursion H ← (I - ρ s yᵀ) H (I - ρ y sᵀ) + ρ s sᵀ, equation 6.17 of Nocedal & Wright."""
    random = torch.Generator().manual_seed(1)
    A = torch.randn(5, 5, generator=random, dtype=torch.float64)
    B, eye, pairs = A @ A.T, torch.eye(5, dtype=torch.float64), []
    for _ in range(3):
        s = torch.randn(5, generator=random, dtype=torch.float64)
        pairs.append((s, B @ s))
    s, y = pairs[-1]
    H = eye * (s @ y) / (y @ y)
    for s, y in pairs:
        rho = 1 / (s @ y)
        V = eye - rho * torch.outer(y, s)
        H = V.T @ H @ V + rho * torch.outer(s, s)
    g = torch.randn(5, generator=random, dtype=torch.float64)
    found = inner.two_loop([([s], [y], float(s @ y)) for s, y in pairs], [g])[0]
    assert torch.allclose(found, H @ g, rtol=1e-10)
    assert not inner.useful([s], [-y])


def test_the_first_step_is_one_over_the_curvature() -> None:
    x = torch.tensor([1.0, 2.0], dtype=torch.float64)
    for curvature in (1e-4, 1.0, 1e6):
        assert inner.first_step(lambda z, c=curvature: c * z, x, curvature * x) == pytest.approx(1 / curvature)  # type: ignore[misc]
    assert inner.first_step(lambda z: z * 0, x, x * 0) == 1.0
    assert inner.first_step(lambda z: z * math.nan, x, x) == 1.0


def test_newton_is_where_it_was() -> None:
    from steepest.solve.newton import newton

    starts = [torch.zeros(2, dtype=torch.float64)]
    x, value = newton(lambda v: (v - 1).square().sum() + 2, starts, 5, 1e-12)
    assert torch.allclose(x, torch.ones(2, dtype=torch.float64))
    assert value == pytest.approx(2.0)
