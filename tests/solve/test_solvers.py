"""Solvers against scipy's optimum, and against their papers' equations step by step in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import optimize
from torch import Tensor

from steepest import solve as S
from steepest.solve import inner
from tests.solve.logistic import gradient
from tests.solve.table import FLAT, ball, lasso, losses, mean, rows, smooth, x0

Vector = np.ndarray[Any, Any]
F64 = torch.float64


def numpy(f: Any) -> Any:
    return lambda v: float(f(torch.from_numpy(v)))


@pytest.mark.parametrize(
    "solver", [S.GradientDescent(), S.FISTA(), S.LBFGS(), S.NewtonCG(), S.ProximalGradient()], ids=str
)
def test_smooth_as_scipy(solver: Any) -> None:
    known = optimize.minimize(numpy(mean), x0(F64).numpy(), jac=gradient, method="BFGS", options={"gtol": 1e-10})
    result = S.solve(smooth(F64), solver, until={"residual": 1e-8}, max_steps=2000)
    assert result.success, str(result)
    assert np.allclose(result.x.numpy(), known.x, atol=1e-7)
    assert result.history["objective"][-1] == pytest.approx(known.fun, rel=1e-12)


@pytest.mark.parametrize("solver", [S.LBFGS(), S.NewtonCG()], ids=str)
def test_rosenbrock_costs_what_scipy_needs(solver: Any) -> None:
    def rosenbrock(x: Tensor) -> Tensor:
        return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()

    start = torch.tensor([-1.2, 1.0, -0.5, 0.8], dtype=F64)
    result = S.solve(S.Smooth(rosenbrock, start), solver, until={"residual": 1e-7})
    known = optimize.minimize(optimize.rosen, start.numpy(), jac=optimize.rosen_der,
                              method="L-BFGS-B" if isinstance(solver, S.LBFGS) else "Newton-CG")  # fmt: skip
    assert result.success, str(result)
    assert result.history["objective"][-1] < 1e-12 or np.allclose(result.x, known.x, atol=1e-3)
    assert result.counts["njev"] <= 2 * known.njev + 20


@pytest.mark.parametrize("solver", [S.FISTA(), S.ProximalGradient(), S.FISTA(restart=False)], ids=str)
def test_lasso_as_scipy(solver: Any) -> None:
    """With x = u - v, u and v ≥ 0, the 1-norm is linear, and L-BFGS-B knows bounds."""
    n = len(x0(F64))
    known = optimize.minimize(lambda w: numpy(mean)(w[:n] - w[n:]) + 0.1 * w.sum(), np.full(2 * n, 0.1),
                              method="L-BFGS-B", bounds=[(0, None)] * 2 * n, options={"ftol": 1e-15, "gtol": 1e-9})  # fmt: skip
    result = S.solve(lasso(F64), solver, until={"residual": 1e-7}, max_steps=3000)
    assert result.success, str(result)
    assert result.history["objective"][-1] == pytest.approx(known.fun, rel=1e-9)
    assert (result.x == 0).any()


@pytest.mark.parametrize(("solver", "rel"), [(S.ProximalGradient(), 1e-10), (S.FISTA(), 1e-10), (S.FrankWolfe(), 1e-2),
                                             (S.FrankWolfe(L=1.0), 1e-2)], ids=str)  # fmt: skip
def test_over_a_ball_as_scipy(solver: Any, rel: float) -> None:
    n = len(x0(F64))
    known = optimize.minimize(lambda w: numpy(mean)(w[:n] - w[n:]), np.full(2 * n, 0.1), method="SLSQP",
                              bounds=[(0, None)] * 2 * n, options={"ftol": 1e-14, "maxiter": 500},
                              constraints={"type": "ineq", "fun": lambda w: 1.5 - w.sum()})  # fmt: skip
    result = S.solve(ball(F64), solver, max_steps=1000)
    assert result.history["objective"][-1] == pytest.approx(known.fun, rel=rel)
    assert float(result.x.abs().sum()) <= 1.5 + 1e-12
    if "gap" in result.history:
        assert all(g >= f - known.fun - 1e-9
                   for g, f in zip(result.history["gap"], result.history["objective"], strict=True))  # fmt: skip
        assert result.counts["nlmo"] == 1001
        assert result.counts["nprox"] == 0


@pytest.mark.parametrize("solver", [S.Extragradient(), S.Extragradient(lr=0.3)], ids=str)
def test_a_game_on_simplices_is_a_linear_program(solver: Any) -> None:
    """Its value is that of scipy's linprog."""
    A = torch.randn(4, 6, generator=torch.Generator().manual_seed(3), dtype=F64)

    def project(z: Any) -> Any:
        return tuple(inner.simplex(part) for part in z)

    x, y = torch.full((4,), 0.25, dtype=F64), torch.full((6,), 1 / 6, dtype=F64)
    result = S.solve(S.Saddle(lambda x, y: x @ A @ y, x, y, project), solver, until={"residual": 1e-9}, max_steps=20_000,
                     every=10)  # fmt: skip
    known = optimize.linprog([0, 0, 0, 0, 1], A_ub=np.c_[A.T.numpy(), -np.ones(6)], b_ub=np.zeros(6),
                             A_eq=[[1, 1, 1, 1, 0]], b_eq=[1], bounds=[(0, None)] * 4 + [(None, None)])  # fmt: skip
    assert result.success, str(result)
    x, y = result.x
    assert float(x @ A @ y) == pytest.approx(known.fun, abs=1e-7)
    assert float((x @ A).max() - (A @ y).min()) < 1e-7


# ---- the equations, step by step ------------------------------------------------------------------------------------------


def test_fista_by_its_equations() -> None:
    x = y = x0(F64).numpy()
    t, lr = 1.0, 0.4
    for _ in range(25):
        z = y - lr * gradient(y)
        new = np.sign(z) * np.maximum(np.abs(z) - lr * 0.1, 0)
        later = (1 + np.sqrt(1 + 4 * t * t)) / 2
        x, y, t = new, new + (t - 1) / later * (new - x), later
    result = S.solve(lasso(F64), S.FISTA(lr=lr, restart=False), max_steps=25)
    assert np.allclose(result.x.numpy(), x, rtol=1e-12)
    assert result.counts == S.Counts(nfev=25, njev=25, nprox=25).as_dict()
    assert result.measured["nfev"] == 26


def test_restarts_are_taken() -> None:
    """An ill-conditioned square: with the restart it converges linearly, without it rings."""
    H = torch.tensor([1.0, 1e-3], dtype=F64)
    problem = S.Smooth(lambda x: (H * x * x).sum() / 2, torch.ones(2, dtype=F64))
    once, never = (
        S.solve(problem, S.FISTA(lr=1.0, restart=r), max_steps=600).history["objective"][-1] for r in (True, False)
    )
    assert once < 1e-4 * never


def test_svrg_by_its_equations() -> None:
    random, lr = torch.Generator().manual_seed(4), 0.2
    x = w = x0(F64).numpy()
    full = gradient(w)
    for t in range(20):
        if t and t % 6 == 0:
            w, full = x, gradient(x)
        i = torch.randint(8, (3,), generator=random).numpy()
        x = x - lr * (gradient(x, i) - gradient(w, i) + full)
    result = S.solve(rows(F64), S.SVRG(lr, batch=3, period=6, seed=4), max_steps=20, every=100)
    assert np.allclose(result.x.numpy(), x, rtol=1e-12)
    assert (result.counts["njev"], result.counts["nsample"]) == (4, 20 * 6)
    assert result.measured["njev"] == 2


def test_frank_wolfe_and_extragradient_by_hand() -> None:
    """½‖x - (1, 0)‖² on the simplex from (0, 1): s = (1, 0), γ = 1, then it stays.  xy from (1, 1), η = ½: z̄ = (½, 3/2)."""
    simplex = S.Constrained(lambda x: ((x - torch.tensor([1.0, 0.0])) ** 2).sum() / 2, torch.tensor([0.0, 1.0]),
                            lmo=inner.lmo_simplex)  # fmt: skip
    result = S.solve(simplex, S.FrankWolfe(), until={"gap": 0.0})
    assert (result.steps, result.x.tolist(), result.history["gap"]) == (1, [1.0, 0.0], [2.0, 0.0])
    one = torch.ones(1)
    z = S.solve(S.Saddle(lambda x, y: (x * y).sum(), one, one), S.Extragradient(lr=0.5), max_steps=1).x
    assert [part.item() for part in z] == [0.25, 1.25]


def test_what_a_solver_needs_is_said() -> None:
    problem = S.Constrained(lambda x: x.sum(), torch.ones(2), lmo=inner.lmo_simplex)
    with pytest.raises(TypeError, match="give Constrained project="):
        S.solve(problem, S.ProximalGradient())
    with pytest.raises(TypeError, match="give Constrained lmo="):
        S.solve(S.Constrained(lambda x: x.sum(), torch.ones(2), project=inner.simplex), S.FrankWolfe())
    with pytest.raises(TypeError, match="LBFGS solves a Smooth problem, got Composite"):
        S.solve(lasso(F64), S.LBFGS())
    with pytest.raises(TypeError, match="project=, lmo= or both"):
        S.Constrained(lambda x: x.sum(), torch.ones(2))


def test_a_flat_valley_in_float32_is_no_trap() -> None:
    """Where f is flat to the last digit, a search goes by what is above its rounding."""
    A, b = torch.randn(30, 6, generator=torch.Generator().manual_seed(0)), torch.ones(30)
    for solver in (S.GradientDescent(), S.LBFGS(), S.NewtonCG(), S.FISTA()):
        problem = S.Smooth(lambda x: (A @ x - b).square().mean() + 100.0, torch.zeros(6))
        result = S.solve(problem, solver, max_steps=400, until={"residual": 1e-4})
        assert result.success, f"{solver}: {result}"


def test_indices_are_handed_through() -> None:
    problem = rows(F64)
    assert isinstance(problem, S.FiniteSum)
    g = problem.grad_of(problem.start, torch.tensor([1, 1, 5]))
    assert np.allclose(g.numpy(), gradient(problem.start.numpy(), np.array([1, 1, 5])))
    assert problem.value(problem.start) == pytest.approx(float(losses(FLAT.flat(problem.x0)).mean()), rel=1e-14)
