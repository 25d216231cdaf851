"""Eigenvalues, traces and sharpness against matrices whose spectrum is known."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import steepest
from steepest.landscape import (
    Balance,
    Loss,
    balancedness,
    bottom_eigenvalues,
    directional_sharpness,
    edges,
    hutchinson_trace,
    hutchpp_trace,
    sam_sharpness,
    top_eigenvalues,
)
from tests.landscape.dense import MODELS, build, cross_entropy, dense_hessian
from tests.laws.common import few


def matrix(values: Tensor, seed: int = 0) -> Tensor:
    """A symmetric matrix with this spectrum, in a random basis."""
    g = torch.Generator().manual_seed(seed)
    Q = torch.linalg.qr(torch.randn(len(values), len(values), generator=g, dtype=torch.float64))[0]
    A = Q @ torch.diag(values.double()) @ Q.T
    return (A + A.T) / 2


@few
@given(
    values=st.lists(st.floats(-10, 10).filter(lambda v: abs(v) > 1e-3), min_size=1, max_size=12),
    k=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_any_spectrum_to_the_end(values: list[float], k: int, seed: int) -> None:
    """With as many products as it takes, eigenvalues are exact, as often as they occur; errors are bounds."""
    k = min(k, len(values))
    A = matrix(torch.tensor(values, dtype=torch.float64), seed)
    high = top_eigenvalues(A, k=k, tol=1e-10, seed=seed)
    low = bottom_eigenvalues(A, k=k, tol=1e-10, seed=seed)
    assert high.values == pytest.approx(sorted(values)[::-1][:k], abs=1e-8)
    assert low.values == pytest.approx(sorted(values)[:k], abs=1e-8)
    assert high.converged and low.converged
    for found in (high, low):
        V = found.vectors
        assert torch.allclose(V @ V.T, torch.eye(k, dtype=torch.float64), atol=1e-10)
        residual = (V @ A - torch.tensor(found.values, dtype=torch.float64)[:, None] * V).norm(dim=1)
        assert torch.allclose(residual, torch.tensor(found.errors, dtype=torch.float64), atol=1e-8)


def test_errors_bound_the_distance_to_the_spectrum() -> None:
    """Also long before convergence: after four products of a matrix of order 200."""
    values = torch.linspace(-1, 3, 200)
    for seed in range(5):
        found = top_eigenvalues(matrix(values), k=2, most=4, seed=seed)
        assert not found.converged
        for value, error in zip(found.values, found.errors, strict=True):
            assert float((values - value).abs().min()) <= error


def test_an_eigenvalue_is_seen_as_often_as_it_occurs() -> None:
    """Five times 5 in forty dimensions: one vector alone would find 5 once and go on to 1."""
    A = matrix(torch.cat([torch.full((5,), 5.0), torch.linspace(-1, 1, 35)]))
    assert top_eigenvalues(A, k=6, tol=1e-8).values == pytest.approx([5, 5, 5, 5, 5, 1], abs=1e-6)
    assert top_eigenvalues(torch.eye(7, dtype=torch.float64), k=3).values == pytest.approx([1, 1, 1])
    assert top_eigenvalues(torch.zeros(7, 7), k=3).values == (0, 0, 0)


@pytest.mark.parametrize("name", MODELS)
def test_of_networks(name: str) -> None:
    """Both ends of the Hessian of a loss, against the Hessian written down."""
    model = build(name)
    exact = torch.linalg.eigvalsh(dense_hessian(model))
    f = cross_entropy(model)
    assert top_eigenvalues(f, k=3, tol=1e-9).values == pytest.approx(exact.flip(0)[:3].tolist(), rel=1e-7, abs=1e-10)
    low, high = edges(f, tol=1e-9)
    assert low.values + high.values == pytest.approx([float(exact[0]), float(exact[-1])], rel=1e-7, abs=1e-10)
    assert low.cost == high.cost
    assert low.cost.hvps <= f.size


def test_the_price() -> None:
    """A gap is found with few products, and they are what is told; a seed is a seed."""
    A = matrix(torch.cat([torch.tensor([10.0]), torch.linspace(0, 1, 99)]))
    found = top_eigenvalues(A)
    assert found.cost.hvps <= 8
    assert found.values[0] == pytest.approx(10, rel=1e-6)
    assert top_eigenvalues(A).values == found.values


# ---- traces ------------------------------------------------------------------------------------------------------------


def test_hutchinson_is_exact_on_a_diagonal_and_honest_elsewhere() -> None:
    assert hutchinson_trace(torch.diag(torch.tensor([3.0, -1.0])), products=5).error == 0
    values = torch.linspace(-1, 3, 100)
    A, n = matrix(values), 400
    many = [hutchinson_trace(A, products=20, seed=s) for s in range(n)]
    scatter = torch.tensor([e.value for e in many])
    exact = math.sqrt(2 * float((A - torch.diag(A.diag())).square().sum()) / 20)
    assert float(scatter.mean()) == pytest.approx(100, abs=4 * exact / math.sqrt(n))
    assert float(scatter.std()) == pytest.approx(exact, rel=0.15)
    assert float(torch.tensor([e.error for e in many]).square().mean().sqrt()) == pytest.approx(exact, rel=0.1)
    assert many[0].cost.hvps == 20


def test_hutchpp_is_exact_on_low_rank_and_better_on_decay() -> None:
    low = matrix(torch.cat([torch.tensor([5.0, -3.0, 2.0]), torch.zeros(60)]))
    found = hutchpp_trace(low, products=12)
    assert found.value == pytest.approx(4, abs=1e-10)
    assert found.cost.hvps == 4 + 3 + 4  # the sketch, its range, the rest
    A = matrix(torch.arange(1, 201).double() ** -2)
    exact = float(A.trace())
    plus = [hutchpp_trace(A, products=30, seed=s) for s in range(50)]
    plain = [hutchinson_trace(A, products=30, seed=s) for s in range(50)]

    def miss(estimates: list[steepest.landscape.Estimate]) -> float:
        return math.sqrt(sum((e.value - exact) ** 2 for e in estimates) / len(estimates))

    assert miss(plus) < miss(plain) / 4
    assert math.sqrt(sum(e.error**2 for e in plus) / 50) == pytest.approx(miss(plus), rel=0.4)


def test_traces_of_small_matrices() -> None:
    """Where the sketch holds everything, nothing is left to chance."""
    A = matrix(torch.tensor([1.0, 2.0, 4.0]))
    found = hutchpp_trace(A, products=30)
    assert found.value == pytest.approx(7)
    assert (found.error, found.samples) == (0.0, 0)


# ---- sharpness ----------------------------------------------------------------------------------------------------------


def quadratic(values: list[float], x: list[float]) -> Loss:
    curvature = torch.tensor(values, dtype=torch.float64)
    return Loss(torch.tensor(x, dtype=torch.float64), lambda x: 0.5 * (curvature * x * x).sum())


def test_directional_sharpness_of_a_quadratic() -> None:
    """x = (1, 1), H = diag(1, 4): along e₂ slope 4 and curvature 4; the gradient is (1, 4)."""
    f = quadratic([1.0, 4.0], [1.0, 1.0])
    along = directional_sharpness(f, torch.tensor([0.0, 2.0]))
    assert (along.slope, along.curvature, along.sharpness, along.best_lr) == (8, 16, 4, 0.5)
    along = directional_sharpness(f, [torch.tensor([1.0, 4.0])])
    assert along.sharpness == pytest.approx((1 + 64) / 17)
    assert along.best_lr == pytest.approx(17 / 65)
    assert (along.cost.forwards, along.cost.backwards, along.cost.hvps) == (2, 2, 1)
    assert directional_sharpness(quadratic([-1.0, 1.0], [1.0, 0.0])).best_lr == math.inf


def test_sam_sharpness_of_a_quadratic() -> None:
    """One step of ρ along g: ρ‖g‖ + ρ²/2 gᵀHg/‖g‖². The maximum at a minimum is ρ²λ/2, found from anywhere."""
    f = quadratic([1.0, 4.0], [1.0, 1.0])
    one = sam_sharpness(f, rho=0.1)
    assert one.value == pytest.approx(0.1 * math.sqrt(17) + 0.005 * 65 / 17)
    assert float(one.worst.norm()) == pytest.approx(0.1)
    assert (one.cost.forwards, one.cost.backwards) == (2, 1)
    several = sam_sharpness(quadratic([1.0, 4.0], [0.0, 0.0]), rho=0.1, steps=30)
    assert several.value == pytest.approx(0.005 * 4, rel=1e-6)
    assert (several.cost.forwards, several.cost.backwards) == (31, 30)


def test_more_steps_of_ascent_never_find_less() -> None:
    f = cross_entropy(build("tanh"))
    rises = [sam_sharpness(f, rho=0.5, steps=n).value for n in (1, 2, 4, 8)]
    assert rises == sorted(rises)
    g = f.gradient()
    assert rises[0] == pytest.approx(f.value(0.5 * g / g.norm()) - f.value())


def test_balancedness() -> None:
    """Of opposite sign for the factors exchanged; kept by gradient flow on their product."""
    A, B = matrix(torch.tensor([1.0, 2.0, 3.0])), matrix(torch.tensor([0.5, 1.0, 1.0]), 1)
    assert balancedness(A, B).value == pytest.approx((14 - 2.25) / 2)
    assert balancedness(B, A).value == -balancedness(A, B).value
    assert balancedness(0 * A, 0 * B) == Balance(0.0, 0.0)
    a, b = (t.clone().requires_grad_() for t in (A, B))
    opt = steepest.SGD([a, b], lr=1e-4)
    for _ in range(200):
        opt.step(lambda: (a @ b - torch.eye(3, dtype=torch.float64)).square().sum())
    assert balancedness(a, b).value == pytest.approx(balancedness(A, B).value, rel=1e-3)
    assert abs(float((a - A).detach().norm())) > 1e-2


def test_wrong_requests() -> None:
    f = quadratic([1.0, 4.0], [1.0, 1.0])
    for bad, says in [
        (lambda: top_eigenvalues(f, k=3), "from 1 to 2"),
        (lambda: top_eigenvalues(f, k=0), "from 1 to 2"),
        (lambda: top_eigenvalues(f, tol=0.0), "tol"),
        (lambda: top_eigenvalues(torch.ones(2, 3)), "symmetric"),
        (lambda: top_eigenvalues(torch.tensor([[0.0, 1.0], [0.0, 0.0]])), "symmetric"),
        (lambda: hutchinson_trace(f, products=1), "at least 2"),
        (lambda: hutchpp_trace(f, products=5), "at least 6"),
        (lambda: directional_sharpness(f, torch.zeros(2)), "not zero"),
        (lambda: directional_sharpness(f, torch.ones(3)), "a vector of 2 numbers"),
        (lambda: sam_sharpness(f, rho=0.0), "rho"),
        (lambda: sam_sharpness(f, steps=0), "steps"),
    ]:
        with pytest.raises(ValueError, match=says):
            bad()
    with pytest.raises(TypeError, match="a Loss, an Operator or a symmetric matrix"):
        top_eigenvalues(3.0)  # type: ignore[arg-type]
