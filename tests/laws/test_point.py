"""Laws of points and oracles: a radius of zero is no probe, nothing is lost on the way, estimates are honest."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import steepest
from steepest import geometry, oracle, point
from steepest.channel import Channel
from steepest.chart import Chart
from steepest.point.smb import coefficients
from tests.collect import named
from tests.laws.common import few, matrices, numbers, positive, streams, tensor, vectors, walk

Make = Callable[..., Any]


def train(make: Make, steps: int = 6, seed: int = 0, **options: Any) -> tuple[list[Tensor], Any]:
    """A small regression with a curved loss; the points, and the optimizer."""
    A, W = matrices(8, 3, seed), nn.Parameter(matrices(3, 2, seed + 1))
    opt, points = make([W], **options), []
    for _ in range(steps):
        opt.step(lambda: (torch.tanh(A @ W) - A[:, :2]).square().mean())
        points.append(W.detach().clone())
    return points, opt


def equal(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


# ---- points that are no points ---------------------------------------------------------------------------------------

IDENTITY = {"point": point.Point(), "oracle": oracle.Oracle(), "chart": Chart(), "channel": Channel(),
            "geometry": geometry.Geometry()}  # fmt: skip
SAME: dict[str, tuple[Make, Make]] = {
    "identity parts": (
        lambda p: steepest.Optimizer(p, lr=0.1, **IDENTITY),  # type: ignore[arg-type]
        lambda p: steepest.SGD(p, lr=0.1),
    ),
    **named("SAME"),
}


@pytest.mark.parametrize("pair", SAME.values(), ids=SAME)
def test_collapses(pair: tuple[Make, Make]) -> None:
    """To the bit."""
    assert equal(train(pair[0])[0], train(pair[1])[0])


def test_a_radius_of_zero_is_no_probe() -> None:
    """And is not paid for."""
    assert train(steepest.SAM, rho=0.0)[1].counters.gradient_equivalents == 6 * 3
    assert train(steepest.SAM, rho=0.1)[1].counters.gradient_equivalents == 6 * 6


# ---- SAM, Lookahead, games ---------------------------------------------------------------------------------------------


@few
@given(g=vectors(), rho=positive)
def test_sam_asks_at_distance_rho_along_the_gradient(g: Tensor, rho: float) -> None:
    x, asked = nn.Parameter(torch.zeros_like(g)), []
    opt = steepest.SAM([x], rho=rho)

    def closure() -> Tensor:
        asked.append(x.detach().clone())
        return (g * x).sum()

    opt.step(closure)
    if not g.any():
        assert len(asked) == 1
        return
    assert float(asked[1].norm()) == pytest.approx(rho, rel=1e-14)
    assert float(asked[1] @ g) == pytest.approx(rho * float(g.norm()), rel=1e-14)  # parallel


@few
@given(gs=streams(length=4), alpha=st.sampled_from([0.0, 0.25, 0.5, 1.0]))
def test_lookahead_walks_a_part_of_the_way(gs: list[Tensor], alpha: float) -> None:
    """With k = 2: after steps 2 and 4 the slow weights have gone α of what the fast ones went since the last time."""
    fast = walk(steepest.Optimizer, gs, lr=0.5)
    slow = walk(steepest.Optimizer, gs, lr=0.5, point=point.Lookahead(alpha=alpha, k=2))
    assert torch.equal(slow[0], fast[0])
    assert torch.allclose(slow[1], alpha * fast[1], rtol=1e-14)
    assert torch.allclose(slow[3], alpha * fast[3], rtol=1e-14)


@few
@given(gs=streams())
def test_games_without_rotation(gs: list[Tensor]) -> None:
    """Where the field does not depend on the point, asking ahead changes nothing, and looking back adds one gradient."""
    plain = walk(steepest.SGD, gs, lr=0.5)
    assert equal(walk(steepest.ExtraSGD, gs, lr=0.5), plain)
    back = walk(steepest.OptimisticSGD, gs, lr=0.5)
    assert all(torch.allclose(b, p - 0.5 * g, rtol=1e-14) for b, p, g in zip(back, plain, gs, strict=True))


# ---- two points --------------------------------------------------------------------------------------------------------


def estimates(f: Callable[[Tensor], Tensor], x: Tensor, steps: int = 1, **options: Any) -> list[tuple[Tensor, Tensor]]:
    """The estimate of the gradient at x, and the z it was made of, for several steps."""
    p, found = nn.Parameter(x.clone()), []
    radius = options.get("radius", 1e-3)
    opt = steepest.Optimizer([p], lr=1.0, oracle=oracle.TwoPoint(**options))
    for _ in range(steps):
        asked: list[Tensor] = []

        def closure(asked: list[Tensor] = asked) -> Tensor:
            asked.append(p.detach().clone())
            return f(p)

        opt.step(closure)
        found.append((x - p.detach(), (asked[0] - asked[1]) / (2 * radius)))
        p.data.copy_(x)
    return found


@few
@given(x=vectors(), curvature=numbers, radius=st.sampled_from([0.125, 0.5, 2.0]))
def test_the_slope_of_a_quadratic_is_exact(x: Tensor, curvature: float, radius: float) -> None:
    """Along z the even part cancels, whatever the radius: ĝ = (∇f·z) z."""
    ((g, z),) = estimates(lambda p: curvature * (p * p).sum() / 2 + p.sum(), x, radius=radius)
    slope = (curvature * x + 1) @ z
    assert torch.allclose(g, slope * z, rtol=1e-10, atol=1e-10)


def test_the_estimate_is_unbiased() -> None:
    """On f = g·x the mean of (g·z) z is g; each coordinate's deviation is √(‖g‖² + gᵢ²), so five of them over √n."""
    g, n = tensor([3.0, -1.0, 0.5]), 4000
    ((mean, _),) = estimates(lambda p: (g * p).sum(), torch.zeros_like(g), directions=n, exact=False)
    assert ((mean - g).abs() < 5 * torch.sqrt(g @ g + g * g) / math.sqrt(n)).all()


def test_directions_are_normal_and_new() -> None:
    """Standard normal numbers; another draw for every step, tensor, seed and question, the same for the same seed."""
    zero = torch.zeros(20_000, dtype=torch.float64)
    (_, a), (_, b) = estimates(lambda p: p.sum(), zero, 2, radius=1.0)
    ((_, again),) = estimates(lambda p: p.sum(), zero, radius=1.0)
    ((_, other),) = estimates(lambda p: p.sum(), zero, radius=1.0, seed=1)
    assert torch.equal(a, again)
    for z in (a, b, other):
        moments = [float((z**k).mean()) for k in (1, 2, 3, 4)]
        assert moments == pytest.approx([0, 1, 0, 3], abs=0.2)
    for first, second in ((a, b), (a, other), (a[:10_000], a[10_000:])):
        assert abs(torch.corrcoef(torch.stack([first, second]))[0, 1]) < 0.05
    x, y = (nn.Parameter(torch.zeros(1000, dtype=torch.float64)) for _ in range(2))
    opt = steepest.Optimizer([x, y], lr=1.0, oracle=oracle.TwoPoint())
    opt.step(lambda: x.sum() + y.sum())
    assert abs(torch.corrcoef(torch.stack([x.detach(), y.detach()]))[0, 1]) < 0.2


def test_two_questions_in_one_step_draw_anew() -> None:
    """SAM on losses alone asks at x and at q(x), each time on both sides of it."""
    x, asked = nn.Parameter(torch.ones(50, dtype=torch.float64)), []
    opt = steepest.Optimizer([x], lr=0.0, oracle=oracle.TwoPoint(radius=1.0), point=point.SAM())

    def closure() -> Tensor:
        asked.append(x.detach().clone())
        return (x * x).sum()

    opt.step(closure)
    assert len(asked) == 4
    first, second = asked[0] - asked[1], asked[2] - asked[3]
    assert abs(torch.corrcoef(torch.stack([first, second]))[0, 1]) < 0.7


def test_estimates_do_not_touch_the_world() -> None:
    """Neither torch's random stream nor ``p.grad``."""
    x = nn.Parameter(torch.ones(3, dtype=torch.float64))
    opt, before = steepest.MeZO([x]), torch.get_rng_state()
    opt.step(lambda: (x * x).sum())
    assert torch.equal(torch.get_rng_state(), before)
    assert x.grad is None


@pytest.mark.parametrize("accident", ["nan", "spike"])
def test_a_gradient_that_waits_goes_on_waiting(accident: str) -> None:
    """A batch that cannot be used is passed over; the next one makes the model, to the bit as if it had come at once."""
    ends = []
    for scales in ((1.0, 1.0), (1.0, 1e6 if accident == "spike" else math.nan, 1.0)):
        x = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
        opt = steepest.SMBi([x], lr=0.01)
        for _ in range(4):
            opt.step(lambda: (x * x).sum() / 2)
        opt.param_groups[0]["lr"] = 4.0
        before = x.detach().clone()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for scale in scales:
                opt.step(lambda scale=scale: scale * (x * x).sum() / 2)  # type: ignore[misc]
                if scale is not scales[-1]:
                    assert torch.equal(x, before)
                    assert opt.state[x]["waiting"].any()
        assert not opt.state[x]["waiting"].any()
        ends.append(x.detach())
    assert torch.equal(*ends)
    assert not torch.equal(ends[0], before)


@few
@given(seed=st.integers(0, 200), lr=st.sampled_from([0.1, 1.0, 30.0]), kappa=st.sampled_from([0.3, 0.99]))
def test_a_models_step_solves_its_equation_and_is_no_longer_than_trusted(seed: int, lr: float, kappa: float) -> None:
    """(2σI + syᵀ + ysᵀ) u = -‖s‖² b, where SMB has b = g; and ‖u‖ ≤ κη‖b‖."""
    b, g, y = matrices(3, 5, seed)
    s = -lr * g
    sigma = 0.5 * (s.norm() * (y.norm() + g.norm() / kappa) - s @ y)
    for right in (b, g):
        cb, cg, cy = coefficients(
            lr, [float(u @ v) for u, v in ((g, g), (y, y), (y, g), (g, right), (y, right))], kappa
        )
        u = cb * right + cg * g + cy * y
        assert torch.allclose(2 * sigma * u + s * (y @ u) + y * (s @ u), -(s @ s) * right, rtol=1e-9)
        assert u.norm() <= kappa * lr * right.norm() * (1 + 1e-12)
