"""SAM's equations against what the theorems say of them, by hand, by drawing, and to the last digit where moments are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from steepest.landscape import SharpnessSDE, simulate, weak_error

SIGMA = torch.tensor([[0.5, 0.2], [0.2, 0.4]], dtype=torch.float64)
POINT = torch.tensor([[0.7, -0.4]], dtype=torch.float64)
METHODS = ("SGD", "USAM", "DNSAM", "SAM")


def curved(x: Tensor) -> Tensor:
    """A loss whose curvature changes."""
    return x[..., 0] ** 4 / 4 + x[..., 0] * x[..., 1] + torch.cosh(x[..., 1])


def bowl(x: Tensor) -> Tensor:
    return (2 * x[..., 0] ** 2 + x[..., 1] ** 2 / 2) / 2


def drawn(count: int = 200_000) -> Tensor:
    """Noise of the covariance, each draw with its negative."""
    xi = torch.randn(count // 2, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return torch.cat([xi, -xi]) @ torch.linalg.cholesky(SIGMA).T


def ascent(method: str, g: Tensor, z: Tensor) -> Tensor:
    """u for each draw."""
    u = g + z
    return {"SGD": 0 * u, "USAM": u, "DNSAM": u / g.norm(), "SAM": u / u.norm(dim=1, keepdim=True)}[method]


def penalised(method: str, rho: float, z: Tensor, x: Tensor) -> Tensor:
    """The loss that the theorem says is descended."""
    p = x[0]
    g = torch.func.grad(curved)(p)
    extra = {"SGD": 0.0 * g.sum(), "USAM": (g + z).square().sum(1).mean() / 2, "DNSAM": g.norm(),
             "SAM": (g + z).norm(dim=1).mean()}  # fmt: skip
    return curved(p) + rho * extra[method]


@pytest.mark.parametrize("method", METHODS)
def test_the_drift_descends_the_loss_of_the_theorem(method: str) -> None:
    drift, _ = SharpnessSDE(curved, SIGMA, method, rho=0.3).coefficients(POINT)
    z = drawn()
    expected = -torch.func.grad(lambda x: penalised(method, 0.3, z, x))(POINT)
    assert torch.allclose(drift, expected, atol=2e-3 if method == "SAM" else 1e-12)
    assert method == "SGD" or not torch.allclose(
        drift, SharpnessSDE(curved, SIGMA, "SGD").coefficients(POINT)[0], atol=0.05
    )


@pytest.mark.parametrize("method", METHODS)
def test_the_diffusion_has_the_covariance_of_the_theorem(method: str) -> None:
    """B Bᵀ = Σ + ρ (Σ̃ + Σ̃ᵀ) up to ρ², with Σ̃ the covariance of the gradient and the Hessian times u."""
    z, rho = drawn(), 1e-6
    _, B = SharpnessSDE(curved, SIGMA, method, rho=rho).coefficients(POINT)
    g, H = torch.func.grad(curved)(POINT[0]), torch.func.jacrev(torch.func.grad(curved))(POINT[0])
    Hu = ascent(method, g, z) @ H
    cross = z.T @ (Hu - Hu.mean(0)) / len(z)
    found = (B[0] @ B[0].T - SIGMA) / rho
    assert torch.allclose(found, cross + cross.T, atol=0.01 * max(1.0, float(found.norm())))
    assert method == "SGD" or float(found.norm()) > 0.3


def test_the_algorithm_by_hand() -> None:
    """Σ = 4, so Z = 2ξ.  ½x² at 3, ξ = ½: ∇f_γ = 4; u is 4, 4/3 or 1; η = 0.1, ρ = 0.3."""
    for method, u in (("SGD", 0.0), ("USAM", 4.0), ("DNSAM", 4 / 3), ("SAM", 1.0)):
        model = SharpnessSDE(lambda x: (x * x).sum() / 2, torch.tensor([[4.0]]), method, rho=0.3)
        x = model.step(torch.tensor([[3.0]]), torch.tensor([[0.5]]), 0.1)
        assert float(x) == pytest.approx(3 - 0.1 * (3 + 0.3 * u + 1), rel=1e-14)


def test_unit_vectors_by_hand() -> None:
    """In a plane, E ‖ξ‖ = √(π/2), so at a stationary point E u ξᵀ = √(π/2)/2; far away u is the gradient's direction."""
    model = SharpnessSDE(lambda x: (x * x).sum() / 2, torch.eye(2), "SAM", rho=1.0)
    drift, B = model.coefficients(torch.tensor([[0.0, 0.0], [3e6, 4e6]]))
    assert torch.equal(drift[0], torch.zeros(2, dtype=torch.float64))
    assert torch.allclose(B[0], (1 + math.sqrt(math.pi / 2) / 2) * torch.eye(2, dtype=torch.float64), rtol=1e-12)
    assert torch.allclose(
        drift[1] + torch.tensor([3e6, 4e6]), -torch.tensor([0.6, 0.8], dtype=torch.float64), atol=1e-8
    )


def moments(model: SharpnessSDE, eta: float, equation: bool) -> float:
    """The mean of the bowl at time 1 from (3, 3), to the last digit: on a bowl means and covariances are linear."""
    zero, unit = torch.zeros(2, 2, dtype=torch.float64), torch.eye(2, dtype=torch.float64)
    if equation:
        drift, B = model.coefficients(unit)
        A, C = drift.T.contiguous(), eta * B[0] @ B[0].T
        pair = torch.kron(A, unit) + torch.kron(unit, A)
        M, P = torch.linalg.matrix_exp(A), torch.linalg.matrix_exp(pair)
    else:
        one, noise = (model.step(a, b, eta).T.contiguous() for a, b in ((unit, zero), (zero, unit)))
        C, pair = noise @ noise.T, torch.kron(one, one) - torch.eye(4)
        M, P = (torch.linalg.matrix_power(t, round(1 / eta)) for t in (one, pair + torch.eye(4)))
    covariance = torch.linalg.solve(pair, (P - torch.eye(4)) @ C.reshape(-1)).reshape(2, 2)
    mean = M @ torch.full((2,), 3.0, dtype=torch.float64)
    return float(bowl(mean) + (torch.tensor([2.0, 0.5]) * covariance.diagonal()).sum() / 2)


def test_the_weak_error_is_linear_where_moments_are_known() -> None:
    """USAM with ρ = √η; the equation of SGD, which knows of no ρ, has an error of √η."""
    for equation, factor in (("USAM", 2.0), ("SGD", math.sqrt(2))):
        errors = []
        for eta in (1e-5, 5e-6):
            ours = SharpnessSDE(bowl, SIGMA, "USAM", rho=math.sqrt(eta))
            errors.append(moments(ours, eta, False) - moments(SharpnessSDE(bowl, SIGMA, equation, ours.rho), eta, True))
        assert errors[0] / errors[1] == pytest.approx(factor, rel=0.01)


def test_the_meter_finds_the_error_that_is_known() -> None:
    """Within four standard errors, and the integrator's own error is small with many substeps."""
    eta = 0.1
    ours = SharpnessSDE(bowl, SIGMA, "USAM", rho=math.sqrt(eta))
    known = moments(ours, eta, False) - moments(ours, eta, True)
    found = weak_error(ours, torch.full((2,), 3.0), eta, 1.0, paths=2_000, substeps=64)
    assert abs(found.value - known) < 4 * found.error + abs(known) / 32
    assert found.error < abs(known) / 10


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_divided_by_zero(method: str) -> None:
    """At a stationary point, with noise, without, and with noise along one axis."""
    for covariance in (SIGMA, 0 * SIGMA, torch.diag(torch.tensor([1.0, 0.0]))):
        model = SharpnessSDE(bowl, covariance, method, rho=0.1)
        x = torch.tensor([[0.0, 0.0], [1e-200, 0.0], [1.0, 2.0]], dtype=torch.float64)
        for t in (*model.coefficients(x), model.step(x, torch.zeros(3, 2), 0.1), model.step(x, torch.ones(3, 2), 0.1)):
            if method != "DNSAM":  # whose noise does explode near a stationary point, as its definition says
                assert bool(torch.isfinite(t).all())
        assert not any(bool(t.isnan().any()) for t in model.coefficients(x))


def test_without_noise_sam_is_its_kin() -> None:
    """And the algorithm is the integrator with one substep, on a bowl."""
    still = torch.zeros(2, 2)
    sam, kin = (SharpnessSDE(bowl, still, method, rho=0.2) for method in ("SAM", "DNSAM"))
    assert torch.equal(sam.coefficients(POINT)[0], kin.coefficients(POINT)[0])
    ends = simulate(sam, POINT[0], 0.1, 2.0, paths=3, substeps=1)
    assert torch.allclose(ends.algorithm, ends.equation, rtol=1e-12)
    assert torch.equal(ends.algorithm[0], ends.algorithm[2])


def test_paths_are_reproducible_and_share_their_noise() -> None:
    """Over a short time the algorithm is as near to its equation as η, where independent noise would be √η apart."""
    model = SharpnessSDE(bowl, SIGMA, "SAM", rho=0.1)
    one, two, other = (simulate(model, torch.ones(2), 0.01, 0.5, paths=50, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one.algorithm, two.algorithm)
    assert torch.equal(one.equation, two.equation)
    assert not torch.equal(one.equation, other.equation)
    apart = (one.algorithm - one.equation).norm(dim=1).mean()
    assert float(apart) < 0.3 * float((one.algorithm - other.equation).norm(dim=1).mean())


def test_what_is_wrong_is_said() -> None:
    for wrong, words in (({"method": "ASAM"}, "'ASAM'"), ({"rho": -1.0}, "rho"), ({"rho": math.nan}, "rho")):
        with pytest.raises(ValueError, match=words):
            SharpnessSDE(bowl, SIGMA, **wrong)
    for covariance in (torch.ones(2), torch.tensor([[1.0, 2.0], [0.0, 1.0]]), -torch.eye(2), math.nan * torch.eye(2)):
        with pytest.raises(ValueError, match="covariance"):
            SharpnessSDE(bowl, covariance)
    model = SharpnessSDE(bowl, SIGMA)
    for eta, time in ((0.1, 0.25), (0.0, 1.0), (0.1, 0.0), (0.1, math.inf)):
        with pytest.raises(ValueError, match="multiple of eta"):
            simulate(model, torch.ones(2), eta, time)
    with pytest.raises(ValueError, match="at least 1"):
        simulate(model, torch.ones(2), 0.1, 1.0, substeps=0)
    with pytest.raises(ValueError, match="two paths"):
        weak_error(model, torch.ones(2), 0.1, 1.0, paths=1)
