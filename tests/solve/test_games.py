"""Solvers for games by their equations in numpy, on games that can be worked out by hand, and the problems that they solve."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from steepest import solve as S
from steepest.solve import inner

F64 = torch.float64
Array = np.ndarray[Any, np.dtype[np.float64]]
N = 7
RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(N, 5, 5))
SHIFTS = RANDOM.normal(size=(N, 5))
START = RANDOM.normal(size=5)


def sampled() -> S.VariationalInequality:
    """The mean over i of Rᵢ z + sᵢ, made strongly monotone."""
    rows, shifts = torch.tensor(ROWS), torch.tensor(SHIFTS)
    return S.VariationalInequality(
        lambda z, i: rows[i].mean(0) @ z + 4 * z + shifts[i].mean(0), torch.tensor(START), n=N
    )


def operator(z: Array, i: Any = slice(None)) -> Array:
    value: Array = ROWS[i].mean(0) @ z + 4 * z + SHIFTS[i].mean(0)
    return value


def run(solver: Any, steps: int, problem: Any = None) -> S.Result:
    return S.solve(problem or sampled(), solver, max_steps=steps, every=steps)


# ---- the equations, step by step ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["past", "optimistic", "reflected"])
@pytest.mark.parametrize("ahead", [1.0, 1.7])
@pytest.mark.parametrize("batch", [None, 3])
def test_single_calls_by_their_equations(scheme: str, ahead: float, batch: int | None) -> None:
    if scheme == "reflected" and ahead != 1:
        with pytest.raises(ValueError, match="has no ahead"):
            S.SingleCall(lr=0.1, scheme=scheme, ahead=ahead)
        return
    random = torch.Generator().manual_seed(5)

    def evaluate(z: Array) -> Array:
        return operator(z) if batch is None else operator(z, torch.randint(N, (batch,), generator=random).numpy())

    x = before = START
    g, points, rates = evaluate(x), [], []
    for t in range(1, 16):
        lr = 0.4 / (t + 2)
        there = 2 * x - before if scheme == "reflected" else x - ahead * lr * g
        new = evaluate(there)
        x, before = (there + lr * (ahead * g - new) if scheme == "optimistic" else x - lr * new), x
        g = new
        points.append(there)
        rates.append(lr)
    result = run(S.SingleCall(lr=0.4, scheme=scheme, ahead=ahead, batch=batch, offset=2.0, seed=5), 15)
    assert np.allclose(result.x.numpy(), x, rtol=1e-12)
    assert np.allclose(result.state["values"]["mean"].numpy(), np.average(points, axis=0, weights=rates), rtol=1e-12)
    assert result.counts["njev" if batch is None else "nsample"] == (16 if batch is None else 48)


def test_single_calls_stay_in_the_set() -> None:
    """On the simplex: past and reflected always, the optimistic's mean; all end at the solution of the linear program."""
    A = torch.tensor([[1.0, -1.0, 0.5], [-1.0, 1.0, 0.0]], dtype=F64)

    def project(z: Any) -> Any:
        return tuple(map(inner.simplex, z))

    for scheme in ("past", "optimistic", "reflected"):
        problem = S.Saddle(lambda x, y: x @ A @ y, torch.tensor([1.0, 0.0], dtype=F64), torch.full((3,), 1 / 3, dtype=F64),
                           project)  # fmt: skip
        result = S.solve(problem, S.SingleCall(lr=0.2, scheme=scheme), max_steps=4000, every=4000)
        mean = problem.tree(result.state["values"]["mean"])
        outside = max(float(-v.min()) + abs(float(v.sum()) - 1) for v in (mean if scheme != "reflected" else result.x))
        assert outside < 1e-12
        assert result.history["residual"][-1] < 1e-6


def test_extragradient_with_two_step_sizes() -> None:
    x = START
    for _ in range(12):
        x = x - 0.05 * operator(x - 0.05 * 1.5 * operator(x))
    assert np.allclose(run(S.Extragradient(lr=0.05, ahead=1.5), 12).x.numpy(), x, rtol=1e-12)
    with pytest.raises(ValueError, match="give lr, too"):
        S.Extragradient(ahead=2.0)


@pytest.mark.parametrize("lr", [0.1, 3.0, 100.0])
def test_proximal_points_are_implicit(lr: float) -> None:
    """x⁺ solves (I + γM) x⁺ = x - γs, whatever γ is."""
    M, s = ROWS.mean(0) + 4 * np.eye(5), SHIFTS.mean(0)
    x = START
    for _ in range(4):
        x = np.linalg.solve(np.eye(5) + lr * M, x - lr * s)
    assert np.allclose(run(S.ProximalPoint(lr=lr, tolerance=1e-13), 4).x.numpy(), x, rtol=1e-8, atol=1e-11)


def test_under_negative_comonotonicity_by_hand() -> None:
    """F a rotation by θ with cos θ = -0.4 (L = 1, ρ = 0.4): the moduli of what a step multiplies by, in complex numbers."""
    turn = complex(-0.4, math.sqrt(1 - 0.16))
    factors = {
        S.Extragradient(lr=0.05, ahead=20.0): abs(1 - 0.05 * turn * (1 - turn)),
        S.ProximalPoint(lr=3 * 0.4): abs(1 / (1 + 1.2 * turn)),
        S.ProximalPoint(lr=1.5 * 0.4): abs(1 / (1 + 0.6 * turn)),
    }  # fmt: skip
    R = torch.tensor([[turn.real, -turn.imag], [turn.imag, turn.real]], dtype=F64)
    for solver, factor in factors.items():
        problem = S.VariationalInequality(lambda z: R @ z, torch.tensor([1.0, 0.0], dtype=F64))
        assert float(run(solver, 10, problem).x.norm()) == pytest.approx(factor**10, rel=1e-6)


@pytest.mark.parametrize("name", ["OGPlus", "OptDAPlus"])
def test_separated_rates_by_their_equations(name: str) -> None:
    random = torch.Generator().manual_seed(3)
    x, g, total = START, np.zeros(5), np.zeros(5)
    for t in range(1, 13):
        g = operator(x - 0.15 / t**0.25 * g, torch.randint(N, (2,), generator=random).numpy())
        total = total + g
        eta = 0.05 / (t + 1) ** 0.5
        x = (x if name == "OGPlus" else START) - eta * (g if name == "OGPlus" else total)
    solver = getattr(S, name)(lr=0.05, ahead=3.0, decay=0.5, ahead_decay=0.25, batch=2, seed=3)
    assert np.allclose(run(solver, 12).x.numpy(), x, rtol=1e-12)


def test_adaptive_rates_by_their_equations() -> None:
    """Per player, with sums that lag by two: rates of step t know steps up to t - 2."""
    A = RANDOM.normal(size=(2, 3))

    def F(z: Array) -> Array:  # noqa: N802
        return np.concatenate([A @ z[2:] + 0.1 * z[:2], -A.T @ z[:2] + 0.1 * z[2:]])

    parts, q = (slice(0, 2), slice(2, 5)), 0.2
    x, g, total, values, points = START, np.zeros(5), np.zeros(5), list[Array](), [START]
    for t in range(1, 10):
        gamma, eta = np.ones(5), np.ones(5)
        for part in parts:
            gamma[part] = (1 + sum(v[part] @ v[part] for v in values[: max(t - 2, 0)])) ** (q - 0.5)
        g = F(x - gamma * g)
        total = total + g
        values.append(g)
        for part in parts:  # η of t + 1
            moves = [(b - a)[part] for a, b in pairwise(points)]
            squares = [v[part] @ v[part] + m @ m for v, m in zip(values[: t - 1], moves[: t - 1], strict=True)]
            eta[part] = (1 + sum(squares)) ** -0.5
        x = START - eta * total
        points.append(x)
    B = torch.tensor(A)
    problem = S.Saddle(
        lambda u, v: u @ B @ v + 0.05 * u @ u - 0.05 * v @ v, torch.tensor(START[:2]), torch.tensor(START[2:])
    )
    assert np.allclose(problem.flat(run(S.AdaOptDAPlus(q=q), 9, problem).x).numpy(), x, rtol=1e-12)


@pytest.mark.parametrize("optimistic", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 2.0])
def test_competitive_gradients_by_dense_algebra(alpha: float, optimistic: bool) -> None:
    """On f = x₁²y₁ + xᵀAy + ½‖x‖² - ½‖y‖², with the mixed derivatives written down."""
    A = RANDOM.normal(size=(2, 3))
    B = torch.tensor(A)
    x, y, before, eta = START[:2], START[2:], None, 0.02
    for _ in range(6):
        D = A + np.array([[2 * x[0], 0, 0], [0, 0, 0]])
        gx, gy = A @ y + x + np.array([2 * x[0] * y[0], 0]), A.T @ x - y + np.array([x[0] ** 2, 0, 0])
        d = (np.linalg.solve(np.eye(2) + alpha**2 * D @ D.T, gx + alpha * D @ gy),
             -np.linalg.solve(np.eye(3) + alpha**2 * D.T @ D, gy - alpha * D.T @ gx))  # fmt: skip
        move = d if before is None or not optimistic else tuple(2 * a - b for a, b in zip(d, before, strict=True))
        x, y, before = x - eta * move[0], y - eta * move[1], d
    problem = S.Saddle(lambda u, v: u[0] ** 2 * v[0] + u @ B @ v + u @ u / 2 - v @ v / 2, torch.tensor(START[:2]),
                       torch.tensor(START[2:]))  # fmt: skip
    result = run(S.CompetitiveGradient(lr=eta, alpha=alpha, optimistic=optimistic, tolerance=1e-14), 6, problem)
    assert np.allclose(problem.flat(result.x).numpy(), np.concatenate([x, y]), rtol=1e-10)


def test_halpern_by_its_equations() -> None:
    u = START
    for k in range(20):
        u = 2 / (k + 4) * START + (1 - 2 / (k + 4)) * (u - 0.05 * operator(u))
    assert np.allclose(run(S.Halpern(lr=0.05), 20).x.numpy(), u, rtol=1e-12)
    random, u, whole = torch.Generator().manual_seed(2), START, 0
    g = operator(u)
    for k in range(20):
        new = 2 / (k + 4) * START + (1 - 2 / (k + 4)) * (u - 0.05 * g)
        if float(torch.rand((), generator=random)) < 4 / (min(k + 1, math.sqrt(N)) + 5):
            g, whole = operator(new), whole + 1
        else:
            i = torch.randint(N, (3,), generator=random).numpy()
            g = g + operator(new, i) - operator(u, i)
        u = new
    result = run(S.Halpern(lr=0.05, variance_reduced=True, seed=2), 20)
    assert np.allclose(result.x.numpy(), u, rtol=1e-12)
    assert (result.counts["njev"], result.counts["nsample"]) == (whole + 1, 6 * (20 - whole))
    assert 0 < whole < 20


# ---- the problems ---------------------------------------------------------------------------------------------------------


def test_a_game_is_its_players() -> None:
    """Cournot's duopoly: price 10 - a - b, cost 1; each sells 3."""
    start = {"a": torch.zeros(1, dtype=F64), "b": torch.zeros(1, dtype=F64)}

    def loss(own: str) -> Any:
        return lambda p: (-p[own] * (9 - p["a"] - p["b"])).sum()

    game = S.Game({"a": loss("a"), "b": loss("b")}, start)
    assert game.players == {"a": slice(0, 1), "b": slice(1, 2)}
    result = S.solve(game, S.Extragradient(), until={"residual": 1e-10})
    assert result.x["a"].item() == pytest.approx(3)
    assert result.x["b"].item() == pytest.approx(3)
    with pytest.raises(ValueError, match="a loss and a start"):
        S.Game({"a": loss("a")}, start)


def test_samples_average_to_the_whole() -> None:
    A = torch.randn(6, 3, 2, generator=torch.Generator().manual_seed(0), dtype=F64)
    z = (torch.ones(3, dtype=F64), {"y": torch.ones(2, dtype=F64)})
    whole = S.Saddle(lambda x, y: x @ A.mean(0) @ y["y"] + x @ x, *z)
    parts = S.Saddle(lambda x, y, i: A[i] @ y["y"] @ x + x @ x, *z, n=6)
    assert torch.allclose(whole.operator(whole.start), parts.operator(parts.start))
    each = torch.stack([parts.operator_of(parts.start, torch.tensor([k])) for k in range(6)])
    assert torch.allclose(each.mean(0), parts.operator(parts.start))
    assert parts.counts == S.Counts(njev=2, nsample=6)
    F, mixed = parts.mixed(parts.start)
    w = torch.arange(1.0, 6.0, dtype=F64)
    assert torch.allclose(F, whole.operator(whole.start))
    assert torch.allclose(mixed(w), torch.cat([A.mean(0) @ w[3:], A.mean(0).T @ w[:3]]))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda z: S.VariationalInequality(lambda a, b: a, z), "must take 1 arguments"),
        (lambda z: S.VariationalInequality(lambda a: a, z, n=3), "must take 2 arguments, samples last"),
        (lambda z: S.VariationalInequality(lambda a, i: a, z, n=0), "positive number of samples"),
        (lambda z: S.solve(S.VariationalInequality(lambda a: a, z), S.SingleCall(lr=0.1, batch=2)), "draws samples"),
        (lambda z: S.solve(S.VariationalInequality(lambda a: a, z), S.Halpern(lr=0.1, variance_reduced=True)), "draws samples"),
        (lambda z: S.solve(S.VariationalInequality(lambda a: a, z, inner.simplex), S.Halpern(lr=0.1)), "without a set"),
        (lambda z: S.solve(S.VariationalInequality(lambda a: a, z, inner.simplex), S.OGPlus(lr=0.1)), "without a set"),
        (lambda z: S.solve(S.Saddle(lambda a, b: (a * b).sum(), z, z, lambda w: w), S.CompetitiveGradient(lr=0.1)),
         "without a set"),
        (lambda z: S.solve(S.VariationalInequality(lambda a: a, z), S.CompetitiveGradient(lr=0.1)), "solves a Saddle problem"),
        (lambda z: S.solve(S.VariationalInequality(lambda a: a[:1], z), S.SingleCall(lr=0.1)), "shapes of x0"),
        (lambda z: S.solve(S.Saddle(lambda a, b, i: a.sum(), z, z, n=3), S.SingleCall(lr=0.1)), "each of the 3 indices"),
        (lambda z: S.SingleCall(lr=0.1, scheme="future"), "scheme must be one of"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(call: Any, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        call(torch.ones(2))


def test_a_game_trains_with_any_optimizer() -> None:
    """Signs come from the players: extragradient from ``steepest`` on a bilinear game, as the solver of the same name."""
    import steepest

    def payoff(x: Tensor, y: Tensor) -> Tensor:
        return x @ y

    z = torch.tensor([1.0, 2.0], dtype=F64), torch.tensor([-1.0, 0.5], dtype=F64)
    game = S.Saddle(payoff, *z)
    trained = S.solve(game, S.Optimizer(lambda groups: steepest.ExtraSGD(groups, lr=0.3)), max_steps=20)
    solved = S.solve(game, S.Extragradient(lr=0.3), max_steps=20)
    assert all(torch.allclose(a, b, rtol=1e-12) for a, b in zip(trained.x, solved.x, strict=True))
