"""MeZO (Malladi et al. 2023, arXiv:2305.17333): two losses along a random line."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import steepest
from steepest import oracle, point
from tests.oracle.equations import Path, Rates, dot
from tests.oracle.problems import Linear, Problem, Trail, Vector, follow, gap
from tests.rows import Row, Setting, by_hand

BLIND = "no gradient says which parameters the loss depends on: all are perturbed, as in the paper"
PROBED = "rounding of the loss is divided by the radius 1e-3"
IN_PLACE = "moved in place three times, as in the paper; oracle=TwoPoint(exact=True) is exact"

CONTRACT = {
    "MeZO": Setting(
        {"lr": 0.01, "weight_decay": 0.1},
        steps=100,
        whole="one slope along a direction through all tensors",
        uses_loss=True,
        exceptions={
            "without_a_gradient_nothing_moves": BLIND,
            "steps_are_counted_per_parameter": BLIND,
            "weights_may_be_cast-float64": "directions for float64 weights are drawn in float64, which are others",
            "a_scaler_changes_nothing": "it has no gradients to scale, and step says so when it is given a scaler",
        },
        loose={
            "micro_batches_add_up": (1e-3, PROBED),
            "lr_zero_is_no_move": (1e-6, IN_PLACE),
            "raise_means_nothing_changed": (1e-6, IN_PLACE),
            "skip_means_it_never_was": (1e-4, IN_PLACE + ", which is divided by the radius 1e-3 later"),
            "a_closure_that_raises_changes_nothing": (1e-6, IN_PLACE),
            "the_loss_comes_back": (1e-4, "the mean of the losses on both sides, at distance 1e-3"),
            "dropout_is_replayed_and_norms_count_once": (0.01, "its first question is asked at x + radius z"),
            "two_processes": (0.002, PROBED),
            "tensors_may_be_changed_by_hand-relay": (0.002, PROBED),
            "strides_change_nothing": (1e-3, PROBED),
        },
    ),
}


def exact_two_point(params: Any, **options: Any) -> steepest.Optimizer:
    """Two-point estimates from a copy of the weights."""
    return steepest.Optimizer(params, oracle=oracle.TwoPoint(radius=0.25, exact=True), **options)


def extra_two_point(params: Any, **options: Any) -> steepest.Optimizer:
    """Extragradient on losses alone."""
    return steepest.Optimizer(params, point=point.ExtraGradient(), oracle=oracle.TwoPoint(radius=0.25), **options)


def sam_on_losses(params: Any, **options: Any) -> steepest.Optimizer:
    """SAM without a backward pass."""
    return steepest.Optimizer(params, point=point.SAM(rho=0.3), oracle=oracle.TwoPoint(radius=0.25), **options)


def estimate(f: Problem, x: Vector, t: int, asked: list[Vector], radius: float) -> Vector:
    """The two-point estimate with the normal vectors z that were drawn, read off the points that were asked."""
    g, drawn = 0 * x, set()
    for above, below in zip(asked[::2], asked[1::2], strict=True):
        z = (above - below) / (2 * radius)
        assert np.allclose(above - x, radius * z, atol=1e-12)  # both lie on one line through x
        assert 0.1 < math.sqrt(dot(z, z) / z.size) < 3
        g = g + (f.loss(x + radius * z, t) - f.loss(x - radius * z, t)) / (2 * radius) * z
        drawn.add(z.round(6).tobytes())
    assert 2 * len(drawn) == len(asked), "a new direction for each estimate"
    return g / len(drawn)


def mezo(f: Problem, x: Vector, etas: Rates, trail: Trail, radius: float = 1e-3, n: int = 1, lam: float = 0.0) -> Path:
    for t, eta in enumerate(etas, 1):
        asked = trail.asked[t - 1]
        assert len(asked) == 2 * n, "two forwards a direction"
        x = x - eta * (estimate(f, x, t, asked, radius) + lam * x)
        yield x


def extra_mezo(f: Problem, x: Vector, etas: Rates, trail: Trail, radius: float) -> Path:
    """Extragradient on estimates: both half steps draw anew."""
    for t, eta in enumerate(etas, 1):
        asked = trail.asked[t - 1]
        half = x - eta * estimate(f, x, t, asked[:2], radius)
        x = x - eta * estimate(f, half, t, asked[2:], radius)
        assert abs((asked[0] - asked[1]) @ (asked[2] - asked[3])) < 0.99 * dot(asked[0] - asked[1], asked[0] - asked[1])
        yield x


def sam_on_losses_path(f: Problem, x: Vector, etas: Rates, trail: Trail, radius: float, rho: float) -> Path:
    """SAM whose two gradients are both estimated, each with a direction of its own."""
    for t, eta in enumerate(etas, 1):
        asked = trail.asked[t - 1]
        g = estimate(f, x, t, asked[:2], radius)
        if g.any():
            there, first, second = x + rho * g / math.sqrt(dot(g, g)), asked[0] - asked[1], asked[2] - asked[3]
            assert abs(dot(first, second)) < 0.99 * dot(first, first)
            g = estimate(f, there, t, asked[2:], radius)
        x = x - eta * g
        yield x


BESIDE = "the mean of the losses on both sides"
ORACLE = [
    Row("MeZO", mezo, {"radius": 0.25, "weight_decay": 0.1}, {"radius": 0.25, "lam": 0.1}, sees=True, elsewhere=BESIDE),
    Row("MeZO", mezo, {"radius": 0.25, "directions": 3, "seed": 5}, {"radius": 0.25, "n": 3}, sees=True, elsewhere=BESIDE),
]  # fmt: skip
EDGES = [
    Row(exact_two_point, mezo, {}, {"radius": 0.25}, sees=True),
    Row(sam_on_losses, sam_on_losses_path, {}, {"radius": 0.25, "rho": 0.3}, sees=True),
    Row(extra_two_point, extra_mezo, {}, {"radius": 0.25}, sees=True),
]  # fmt: skip


def test_mezo_by_hand() -> None:
    """f = g·x, so the slope along z is g·z whatever the radius: x⁺ = x - η ((g·z) z + λ x), with the z it drew."""
    problem, x, radius, eta, lam = Linear([1, -1], [3, 4]), np.array([1.0, -1.0]), 0.5, 0.01, 0.5
    terms, hyper = {"radius": radius, "lam": lam}, {"radius": radius, "weight_decay": lam}
    trail = follow(steepest.MeZO, problem, [eta] * 8, lift="eager", **hyper)
    for asked, after, loss in zip(trail.asked, trail.x, trail.returned, strict=True):
        z = (asked[0] - x) / radius
        assert np.allclose(asked[1], x - radius * z, atol=1e-14)  # both sides, in this order
        assert loss == pytest.approx(3 * x[0] + 4 * x[1], rel=1e-12)  # the mean of both sides
        x = x * (1 - eta * lam) - eta * (3 * z[0] + 4 * z[1]) * z
        assert gap([after], [x]) < 1e-14
        x = after
    assert len({asked[0].tobytes() for asked in trail.asked}) == 8  # a new z at every step
    want = [tuple(x) for x in trail.x[:2]]
    by_hand(steepest.MeZO, hyper, mezo, terms, problem, [eta], want, sees=True)
