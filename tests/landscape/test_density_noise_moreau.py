"""Densities against spectra that are known, noise against its definition, proximal points against their closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from steepest.landscape import Loss, hutchinson_trace, moreau_stationarity, noise_scale, spectral_density
from tests.landscape.dense import X, Y, build, cross_entropy, dense_hessian
from tests.landscape.test_spectrum import matrix

# ---- densities ---------------------------------------------------------------------------------------------------------


def test_moments_are_exact_for_each_probe() -> None:
    """m nodes integrate powers up to 2m - 1 exactly: the first is Hutchinson's estimate, the seventh is checked by hand."""
    A = matrix(torch.linspace(-1, 3, 50))
    found = spectral_density(A, probes=3, most=4)
    assert torch.allclose(found.weights.sum(1), torch.ones(3, dtype=torch.float64))
    for k in range(3):
        v = torch.randint(2, (50,), generator=torch.Generator().manual_seed(k)).double() * 2 - 1
        for power in range(8):
            exact = float(v @ torch.linalg.matrix_power(A, power) @ v) / 50
            assert float((found.weights[k] * found.nodes[k] ** power).sum()) == pytest.approx(
                exact, rel=1e-9, abs=1e-12
            )
    assert found.cost.hvps == 12


def test_functions_of_a_spectrum() -> None:
    """Within four standard errors of the exact means; the error itself is of the right size."""
    values = torch.linspace(-1, 3, 300)
    found = spectral_density(matrix(values), probes=10, most=30)
    for function in (torch.exp, torch.abs, torch.cos):
        mean, error = found.mean(function)
        assert abs(mean - float(function(values.double()).mean())) < 4 * error + 1e-3
        assert error < 0.15
    assert found.below(0.0) == pytest.approx(0.25, abs=0.05)
    grid = torch.linspace(-3, 5, 400)
    assert float(torch.trapezoid(found.at(grid, 0.2), grid.double())) == pytest.approx(1, abs=1e-3)
    assert float(found.at(torch.tensor([1.0]), 0.3)[0]) == pytest.approx(0.25, abs=0.05)


def test_density_of_a_network() -> None:
    model = build("tanh")
    H = dense_hessian(model)
    found = spectral_density(cross_entropy(model), probes=20, most=43)
    mean, error = found.mean(lambda x: x)
    assert abs(mean - float(H.trace()) / 43) < 4 * error
    assert float(found.nodes.max()) == pytest.approx(float(torch.linalg.eigvalsh(H)[-1]), rel=1e-8)
    assert spectral_density(torch.zeros(4, 4)).mean(torch.cos) == (1.0, 0.0)


# ---- noise ---------------------------------------------------------------------------------------------------------------


def mean_loss(data: Tensor, b: int) -> Loss:
    """½‖x - row‖² on average: the gradient of a row is x - row, its covariance that of the data."""
    batches = [(rows,) for rows in data.split(b)]
    return Loss(torch.zeros(data.shape[1], dtype=torch.float64),
                lambda x, rows: 0.5 * (x - rows).square().sum(1).mean(), batches=batches)  # fmt: skip


def test_noise_of_single_rows_is_the_sample_covariance() -> None:
    data = X + 1
    found = noise_scale(mean_loss(data, 1))
    assert found.trace == pytest.approx(float(data.var(0).sum()))
    assert found.signal == pytest.approx(float(data.mean(0).square().sum() - data.var(0).sum() / 12))
    assert (found.rows, found.cost.backwards) == (12, 12)
    with pytest.raises(ValueError, match="at least two"):
        noise_scale(mean_loss(data, 12))


def test_noise_is_unbiased_and_its_error_honest() -> None:
    """Rows of mean 1 and variance 4 in ten dimensions: tr Σ = 40, ‖G‖² = 10, scale 4; any batch size."""
    for b in (1, 4):
        many = []
        for seed in range(60):
            g = torch.Generator().manual_seed(seed)
            many.append(noise_scale(mean_loss(1 + 2 * torch.randn(64, 10, generator=g, dtype=torch.float64), b)))
        trace, signal = torch.tensor([m.trace for m in many]), torch.tensor([m.signal for m in many])
        assert float(trace.mean()) == pytest.approx(40, abs=4 * float(trace.std()) / math.sqrt(60))
        assert float(signal.mean()) == pytest.approx(10, abs=4 * float(signal.std()) / math.sqrt(60))
        scales = torch.tensor([m.scale for m in many])
        assert float(torch.tensor([m.error for m in many]).median()) == pytest.approx(float(scales.std()), rel=0.35)


def test_noise_without_signal() -> None:
    """At the mean of the data nothing but noise is left, and it is said."""
    data = X - X.mean(0)
    assert noise_scale(mean_loss(data, 1)).scale == math.inf
    model = build("tanh")
    uneven = Loss(model, lambda x, y: torch.nn.functional.cross_entropy(model(x), y), batches=[(X, Y), (X[:3], Y[:3])])
    with pytest.raises(ValueError, match="same number of rows"):
        noise_scale(uneven)


# ---- Moreau --------------------------------------------------------------------------------------------------------------


def at(x: list[float]) -> Tensor:
    return torch.tensor(x, dtype=torch.float64)


def test_soft_threshold() -> None:
    """Of the 1-norm the proximal point is known: each coordinate moves towards 0 by λ and stops there."""
    x = torch.linspace(-2, 3, 11, dtype=torch.float64)
    found = moreau_stationarity(Loss(x, lambda x: x.abs().sum()), lam=0.7, weak=0.0, tol=1e-4, most=300)
    assert found.converged
    exact = -torch.sign(x) * x.abs().clamp(max=0.7)
    assert float((found.prox - exact).norm()) / 0.7 <= found.error + 1e-9
    assert found.value == pytest.approx(float(exact.norm()) / 0.7, abs=found.error)
    assert found.cost.backwards <= 300


@pytest.mark.parametrize("lam", [1e-3, 0.1, 0.9])
def test_quadratics_convex_or_not(lam: float) -> None:
    """∇f_λ = (I + λH)⁻¹ H x, with an eigenvalue of -0.5; small λ: the gradient."""
    H = matrix(torch.linspace(-0.5, 3, 8))
    x = torch.ones(8, dtype=torch.float64)
    f = Loss(x, lambda x: x @ H @ x / 2)
    found = moreau_stationarity(f, lam, tol=1e-5, most=200)
    exact = torch.linalg.solve(torch.eye(8, dtype=torch.float64) + lam * H, H @ x)
    assert found.converged
    assert abs(found.value - float(exact.norm())) <= found.error <= 1e-5 * max(1.0, found.value)
    assert found.envelope == pytest.approx(f.value(found.prox) + float(found.prox.square().sum()) / (2 * lam))
    if lam < 0.01:
        assert found.value == pytest.approx(float(f.gradient().norm()), rel=0.01)


def test_a_kink_is_stationary_and_a_slope_is_not() -> None:
    """At the bottom of |x| every subgradient but 0 has length 1, the meter says 0; a little beside it, how little."""
    for x, exact in ((0.0, 0.0), (1e-3, 1e-2), (1.0, 1.0)):
        found = moreau_stationarity(Loss(at([x]), lambda x: x.abs().sum()), lam=0.1, weak=0.0, tol=1e-6)
        assert found.value == pytest.approx(exact, abs=1e-6)


def test_phase_retrieval() -> None:
    """|⟨a, x⟩² - b|: weakly convex with modulus 2‖a‖² for one row; the proximal point by brute force in one dimension."""
    f = Loss(at([1.3]), lambda x: (x * x - 1).abs().sum())
    found = moreau_stationarity(f, lam=0.2, weak=2.0, tol=1e-6)
    grid = torch.linspace(0, 2, 2_000_001, dtype=torch.float64)
    best = grid[((grid * grid - 1).abs() + (grid - 1.3) ** 2 / 0.4).argmin()]
    assert found.value == pytest.approx(abs(1.3 - float(best)) / 0.2, abs=1e-5)


def test_a_loss_less_convex_than_said_is_found_out() -> None:
    with pytest.raises(ValueError, match="less convex"):
        moreau_stationarity(Loss(at([0.3, 0.1]), lambda x: -4 * x.square().sum() + x.sum()), lam=0.4, weak=0.5)
    for bad, says in (
        ({"lam": 0.0}, "lam"),
        ({"lam": 1.0, "weak": 1.0}, "smaller lam"),
        ({"lam": 1.0, "most": 0}, "most"),
    ):
        with pytest.raises(ValueError, match=says):
            moreau_stationarity(Loss(at([0.3]), lambda x: x.square().sum()), **bad)  # type: ignore[arg-type]


def test_the_meter_works_on_networks() -> None:
    """In float32 too, with the error it has."""
    model = build("tanh").float()
    f = Loss(model, lambda: torch.nn.functional.cross_entropy(model(X.float()), Y))
    found = moreau_stationarity(f, lam=0.1, tol=1e-2)
    assert found.converged
    assert 0 < found.value < float(f.gradient().norm()) * 1.2
    assert hutchinson_trace(f, products=3).samples == 3
