"""Laws of accelerated distance over gradients: units, first steps, growing weights, and who goes with whom."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import steepest
from steepest import geometry, point
from steepest import stepsize as S
from tests.laws.common import few, matrices

#: rates far below 1 keep steps short here, which a user would be warned of
pytestmark = pytest.mark.filterwarnings("ignore:.* finds its step size itself")

BOTH = pytest.mark.parametrize("make", [steepest.UDoG, steepest.ADoG])


def descend(make: Any, scale: float = 1.0, steps: int = 8, **options: Any) -> tuple[list[Tensor], steepest.Optimizer]:
    """Points on a convex loss in three dimensions, times a constant."""
    A, x = matrices(6, 3, 0), nn.Parameter(matrices(3, 1, 1).reshape(-1))
    opt, points = make([x], lift="eager", **options), [x.detach().clone()]
    for _ in range(steps):
        opt.step(lambda: (torch.sqrt(1 + (A @ x).square()) - 1).sum() * scale)
        points.append(x.detach().clone())
    return points, opt


@BOTH
@few
@given(power=st.integers(-20, 20))
def test_the_unit_of_the_loss_does_not_matter(make: Any, power: int) -> None:
    a, b = descend(make)[0], descend(make, 2.0**power)[0]
    assert all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


@BOTH
def test_the_first_step_has_the_length_that_was_asked(make: Any) -> None:
    """r_ε = ρ(1 + ‖x₀‖), whatever the gradient."""
    points, _ = descend(make, steps=1, reps_rel=0.01)
    assert float((points[1] - points[0]).norm()) == pytest.approx(0.01 * (1 + float(points[0].norm())), rel=1e-12)


@BOTH
def test_weights_grow_like_t_once_the_distance_is_known(make: Any) -> None:
    """With r_ε beyond every distance r̄ stands still, and α_t = t + 1 as in UniXGrad and AcceleGrad."""
    _, opt = descend(make, steps=9, reps_rel=100.0, lr=1e-3)
    memory = opt.param_groups[0]
    assert memory["sum_r"] / memory["rbar"] == pytest.approx(10, rel=1e-12)


def test_u_dog_by_hand() -> None:
    """f = x²/2 from 1 with r_ε = 1: m = 1 leads to x₁ = 0 = x̂, where g = 0; then ẑ = 2/3, η = 1/√(16/9), x₂ = 0."""
    x, asked = nn.Parameter(torch.ones(1, dtype=torch.float64)), []
    opt = steepest.UDoG([x], reps_rel=0.5)

    def closure() -> Tensor:
        asked.append(x.item())
        return (x * x).sum() / 2

    for _ in range(2):
        opt.step(closure)
    assert asked == pytest.approx([1, 0, 2 / 3, 0], abs=1e-15)
    assert [opt.param_groups[0][n] for n in ("Q", "M", "rbar")] == pytest.approx([25 / 9, 16 / 9, 1])
    assert opt.state[x]["y"].item() == 1.0


def test_a_dog_by_hand() -> None:
    """f = x²/2 from 1 with r_ε = ½: y = z = ½; then α = 2, g = ½, G = 2, η = ½/√2, τ = α/Σα with r̄ = |z - 1|."""
    x = nn.Parameter(torch.ones(1, dtype=torch.float64))
    opt = steepest.ADoG([x], reps_rel=0.25)
    for _ in range(2):
        opt.step(lambda: (x * x).sum() / 2)
    y, z = 0.5 - 0.25 / math.sqrt(2), 0.5 - 0.5 / math.sqrt(2)
    alpha = (0.5 + 0.5 + 1 - z) / (1 - z)
    tau = alpha / (1 + 2 + alpha)
    assert x.item() == pytest.approx(tau * z + (1 - tau) * y, rel=1e-14)


def test_steps_and_points_want_each_other() -> None:
    x = [nn.Parameter(torch.ones(2))]
    for step, other in ((S.UDoG(), point.AcceleGrad()), (S.ADoG(), point.UniXGrad()), (S.UDoG(), point.Point()),
                        (S.ADoG(), point.Point()), (S.DoG(), point.AcceleGrad()), (S.DoG(), point.UniXGrad())):  # fmt: skip
        with pytest.raises(ValueError, match="needs"):
            steepest.Optimizer(x, step_size=step, point=other)


@BOTH
def test_they_stay_in_a_box(make: Any) -> None:
    """The projection of the papers' boxes is a geometry."""
    points, _ = descend(make, steps=30, reps_rel=0.1, geometry=geometry.Box(-0.5, 0.5))
    assert all(p.abs().max() <= 0.5 for p in points[1:])


@BOTH
def test_what_is_returned_is_the_weights(make: Any) -> None:
    points, opt = descend(make)
    with opt.averaged():
        assert torch.equal(opt.param_groups[0]["params"][0], points[-1])
