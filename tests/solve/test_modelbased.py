"""Model-based steps against their definition, by brute force, by hand and where two models are one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import steepest
from steepest.solve import model_based, model_step

MODELS = ("subgradient", "prox-linear", "prox-point")
OUTER: dict[str, Callable[[float], float]] = {"abs": abs, "hinge": lambda c: max(c, 0.0), "square": lambda c: c * c / 2}


def vector(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("outer", OUTER)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("start", [-2.0, -0.4, 0.7, 1.9])
@pytest.mark.parametrize("beta", [4.0, 20.0])
def test_the_step_is_the_minimum_of_its_model(outer: str, model: str, start: float, beta: float) -> None:
    """In one dimension, on a fine grid: c(x) = x² - 1 + x/2, whose curvature 2 is below β."""
    h = OUTER[outer]
    y, loss = model_step(lambda x: x.square().sum() - 1 + x.sum() / 2, vector(start), beta, model, outer)
    c, g = start**2 - 1 + start / 2, 2 * start + 0.5
    slope = {"abs": np.sign(c), "hinge": float(c > 0), "square": c}[outer]
    grid = np.linspace(start - 6, start + 6, 1_200_001)
    if model == "subgradient":
        values = slope * g * (grid - start)
    else:
        inside = c + g * (grid - start) if model == "prox-linear" else grid**2 - 1 + grid / 2
        values = {"abs": np.abs(inside), "hinge": np.maximum(inside, 0), "square": inside**2 / 2}[outer]
    best = grid[np.argmin(values + beta / 2 * (grid - start) ** 2)]
    assert float(y[0]) == pytest.approx(best, abs=2e-5)
    assert loss == pytest.approx(h(c), rel=1e-14)


def test_by_hand() -> None:
    """|x - 3| from 0 with β = 1: the kink is 3 away, the step 1; with β = ¼ it is reached.  c²/2: to 3/(1 + β)."""

    def c(x: Tensor) -> Tensor:
        return x.sum() - 3

    assert float(model_step(c, vector(0.0), 1.0)[0]) == 1.0
    assert float(model_step(c, vector(0.0), 0.25)[0]) == 3.0
    assert float(model_step(c, vector(0.0), 0.25, "subgradient")[0]) == 4.0
    assert float(model_step(c, vector(0.0), 0.5, outer="square")[0]) == 2.0
    assert float(model_step(c, vector(0.0), 0.5, outer="hinge")[0]) == 0.0


@pytest.mark.parametrize("outer", OUTER)
def test_of_a_linear_map_the_tangent_is_exact(outer: str) -> None:
    """Prox-linear is the proximal point."""
    a = vector(1.0, -2.0, 0.5)
    linear, point = (model_step(lambda x: a @ x - 0.7, vector(0.3, 0.1, -2.0), 0.9, m, outer)[0] for m in MODELS[1:])
    assert torch.allclose(linear, point, rtol=1e-12)


@pytest.mark.parametrize("outer", OUTER)
def test_short_steps_are_the_subgradient_methods(outer: str) -> None:
    x = vector(0.8, -0.3)
    moves = [model_step(lambda p: (p * p).sum() + 0.2, x, 1e6, m, outer)[0] - x for m in MODELS]
    assert all(torch.allclose(moves[0], m, rtol=1e-4) for m in moves[1:])
    assert moves[0].any()


def test_polyaks_bounded_step_is_the_truncated_model() -> None:
    """max(f, f*) with a tangent inside is SPS with c = 1 and η_max = 1/β: a step size, and a prox-linear step of hinge."""

    def f(p: Tensor) -> Tensor:
        return torch.log1p(torch.exp(p)).sum()

    for beta in (0.1, 1.0, 30.0):
        x = nn.Parameter(vector(0.5, -1.0, 2.0))
        y, _ = model_step(lambda p: f(p) - 0.4, x.detach(), beta, outer="hinge")
        steepest.SPS([x], c=1.0, f_star=0.4, eta_max=1 / beta).step(lambda: f(x))
        assert torch.allclose(x.detach(), y, rtol=1e-14)


def test_no_gradient_no_step() -> None:
    for model in MODELS:
        assert torch.equal(model_step(lambda x: (x * 0).sum() + 2, vector(1.0), 1.0, model)[0], vector(1.0))


def test_a_run_is_its_seed() -> None:
    a = torch.randn(30, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    runs = [model_based(lambda x, k: a[k] @ x - k % 3, torch.zeros(4, dtype=torch.float64), range(30), 50, 2.0, seed=s)
            for s in (0, 0, 1)]  # fmt: skip
    assert torch.equal(runs[0].x, runs[1].x)
    assert runs[0].losses == runs[1].losses
    assert not torch.equal(runs[0].x, runs[2].x)
    assert len(runs[0].losses) == 50


def test_the_drawn_point_has_weights_of_one_over_beta() -> None:
    """β = 1, then 3: the first point with probability ¾, the second with ¼."""
    drawn = [model_based(lambda x, _: x.sum(), vector(5.0), [0], 2, lambda t: 2.0 * t - 1, seed=s).drawn_at
             for s in range(800)]  # fmt: skip
    assert drawn.count(1) / 800 == pytest.approx(0.75, abs=3 * math.sqrt(0.75 * 0.25 / 800))


@pytest.mark.parametrize(("wrong", "says"), [({"model": "newton"}, "prox-linear"), ({"outer": "huber"}, "hinge"),
                                             ({"samples": []}, "at least one"), ({"beta": 0.0}, "positive")])  # fmt: skip
def test_what_is_wrong_is_said(wrong: dict[str, object], says: str) -> None:
    given = {"samples": [0], "steps": 3, "beta": 1.0, **wrong}
    with pytest.raises(ValueError, match=says):
        model_based(lambda x, _: x.sum(), vector(1.0), **given)  # type: ignore[arg-type]


def test_an_inner_map_without_numbers_is_refused() -> None:
    for answer in (1.0, torch.zeros(0)):
        with pytest.raises(TypeError, match="numbers in a tensor"):
            model_step(lambda x, answer=answer: answer, vector(1.0, 2.0), 1.0)  # type: ignore[misc]


# ---- a regularizer, and many numbers ---------------------------------------------------------------------------------


def soft(v: Tensor, tau: float) -> Tensor:
    """Of r = 0.3 ‖x‖₁."""
    return v.sign() * (v.abs() - 0.3 * tau).clamp(min=0)


def pair(x: Tensor) -> Tensor:
    """Two numbers of two, neither linear."""
    return torch.stack([x[0] ** 2 + x[1] - 1, x[0] * x[1] - 0.5 * x[1] ** 2 + 0.2])


@pytest.mark.parametrize("outer", OUTER)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("regularized", [False, True])
def test_the_step_is_the_minimum_of_its_model_in_the_plane(outer: str, model: str, regularized: bool) -> None:
    """On grids that close in on the least value; β = 12 is above the curvature."""
    start, beta = np.array([0.9, -0.6]), 12.0
    kinds: dict[str, Any] = {"abs": np.abs, "hinge": lambda c: np.maximum(c, 0), "square": lambda c: c * c / 2}
    h = kinds[outer]
    y, loss = model_step(pair, torch.from_numpy(start), beta, model, outer, 1e-13, soft if regularized else None)

    def c(x: Any) -> Any:
        return np.array([x[0] ** 2 + x[1] - 1, x[0] * x[1] - 0.5 * x[1] ** 2 + 0.2])

    c0, J = c(start), np.array([[2 * start[0], 1.0], [start[1], start[0] - start[1]]])
    slope = {"abs": np.sign(c0), "hinge": (c0 > 0) * 1.0, "square": c0}[outer]
    assert loss == pytest.approx(float(h(c0).sum()), rel=1e-14)
    centre, width = start, 2.0
    for _ in range(12):
        axes = np.linspace(-width, width, 201)
        grid = centre[:, None, None] + np.stack(np.meshgrid(axes, axes, indexing="ij"))
        d = grid - start[:, None, None]
        if model == "subgradient":
            values = np.tensordot(slope @ J, d, 1)
        elif model == "prox-linear":
            values = h(c0[:, None, None] + np.tensordot(J, d, 1)).sum(0)
        else:
            values = h(c(grid)).sum(0)
        values = values + beta / 2 * (d * d).sum(0) + regularized * 0.3 * np.abs(grid).sum(0)
        at = np.unravel_index(np.argmin(values), values.shape)
        centre, width = grid[:, at[0], at[1]], width / 4
    assert y.numpy() == pytest.approx(centre, abs=2e-6)


def test_the_search_finds_the_closed_form() -> None:
    """One number and r = 0, by way of the dual; and of float32 and matrices."""
    for dtype, off in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        x = torch.tensor([[0.4, -1.0], [2.0, 0.3]], dtype=dtype)
        for outer in OUTER:
            plain, found = (model_step(lambda p: (p * p).sum() - 1, x, 2.0, "prox-linear", outer, prox=prox)[0]
                            for prox in (None, lambda v, tau: v))  # fmt: skip
            assert found.dtype is dtype and found.shape == x.shape
            assert torch.allclose(plain, found, atol=off)


def test_a_run_with_a_regularizer_ends_at_the_lasso() -> None:
    """½‖Ax - b‖² + 0.3 ‖x‖₁ as one sample of thirty numbers: the conditions of its minimum, zeros to the bit."""
    g = torch.Generator().manual_seed(0)
    A = torch.randn(30, 8, dtype=torch.float64, generator=g) / 10
    b = A @ vector(8.0, 0, 0, -6.0, 0, 0, 0, 0) + 0.01
    x = model_based(
        lambda x, _: A @ x - b, torch.zeros(8, dtype=torch.float64), [0], 150, 0.1, outer="square", prox=soft
    ).x
    slope = A.T @ (A @ x - b)
    assert (x == 0).sum() >= 4
    assert torch.allclose(slope[x != 0], -0.3 * x[x != 0].sign(), atol=1e-8)
    assert (slope.abs() <= 0.3 + 1e-8).all()
