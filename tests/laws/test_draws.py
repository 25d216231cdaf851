"""Random numbers of parts: standard normal, of their own for each parameter, step, name and seed, and nobody else's."""

from __future__ import annotations

from itertools import combinations
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import steepest
from steepest.chart import LowRank
from steepest.core.draws import drawn
from steepest.core.part import NewState, Point, Scalars
from steepest.direction import Adam, AnnealedNoise, Cautious, Choose, Direction, Sign
from steepest.stepsize import SLS


class Shaken(Direction):
    """The noise itself, as a direction with a seed of its own choice."""

    draws = ("shake",)

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        return s.shake, {}


class Jitter(Point):
    """A point that draws, too."""

    bends = True
    draws = ("jitter",)

    def after_direction(self, d: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        return d + s.jitter, {}


def moves(shape: tuple[int, ...] = (40, 50), steps: int = 2, **given: Any) -> list[Tensor]:
    """What two equal parameters moved by in each step, for gradients of zero and lr 1."""
    ps = [nn.Parameter(torch.zeros(shape)) for _ in range(2)]
    opt = steepest.Optimizer(ps, lr=1.0, **given)
    found = []
    for _ in range(steps):
        before = [p.detach().clone() for p in ps]
        for p in ps:
            p.grad = torch.zeros(shape)
        opt.step()
        found += [b - p.detach() for p, b in zip(ps, before, strict=True)]
    return found


@pytest.mark.parametrize("lift", ["eager", "auto"])
def test_numbers_are_normal_and_independent(lift: Any) -> None:
    """Mean 0, variance 1, no correlation between parameters, steps, seeds and names; the global generator stays."""
    state = torch.get_rng_state()
    found = [*moves(direction=Shaken(), lift=lift), *moves(direction=Direction(), point=Jitter(), lift=lift)]
    found += moves(direction=AnnealedNoise(Direction(), variance=1.0, decay=0.0, seed=3), lift=lift)
    found += moves(direction=AnnealedNoise(Direction(), variance=1.0, decay=0.0), lift=lift)
    assert torch.equal(state, torch.get_rng_state())
    for z in found:
        assert abs(z.mean()) < 4 / 2000**0.5
        assert abs(z.var() - 1) < 0.15
        assert z.abs().max() > 2.8
    for a, b in combinations(found, 2):
        assert abs(float(torch.dot(a.flatten(), b.flatten()))) < 4.5 * 2000**0.5
    both = moves(direction=Shaken(), point=Jitter(), lift=lift)
    assert torch.allclose(both[0], found[0] + found[4], atol=1e-6)


def test_variance_falls_with_the_paper() -> None:
    """σ² = η/(1 + t)^γ from t = 0; the numbers may be scheduled."""
    zeta = [drawn(0, "noise", t, i, torch.zeros(40, 50)) for t in (1, 2, 3) for i in (0, 1)]
    found = moves(steps=3, direction=AnnealedNoise(Direction(), variance=0.3, decay=0.55))
    for k, z in enumerate(found):
        assert torch.allclose(z, z_of(zeta[k], (0.3 / (1 + k // 2) ** 0.55) ** 0.5), atol=1e-5)


def z_of(zeta: Tensor, sigma: float) -> Tensor:
    return zeta * sigma


@pytest.mark.parametrize("layout", ["contiguous", "channels_last", "transposed"])
def test_a_layout_is_not_seen(layout: str) -> None:
    """Elements get their numbers by their place in the tensor, and not in memory."""
    x = torch.zeros(2, 3, 4, 5)
    x = x.to(memory_format=torch.channels_last) if layout == "channels_last" else x
    x = torch.zeros(5, 4, 3, 2).permute(3, 2, 1, 0) if layout == "transposed" else x
    p = nn.Parameter(x)
    p.grad = torch.zeros_like(p)
    steepest.Optimizer([p], lr=1.0, direction=Shaken()).step()
    assert torch.allclose(p.detach(), -drawn(0, "shake", 1, 0, torch.zeros(2, 3, 4, 5)))


def test_inside_everything() -> None:
    """Noise under caution, in a chart, on one side of a choice, and the same at all trials of a line search."""
    p, q = nn.Parameter(torch.ones(6, 5)), nn.Parameter(torch.ones(5))
    chosen = Choose(then=AnnealedNoise(Cautious(Adam())), otherwise=AnnealedNoise(Sign(), variance=0.1))
    opt = steepest.Optimizer([p, q], lr=0.1, direction=chosen)
    for _ in range(3):
        opt.step(lambda: (p @ q).square().sum())
    assert opt.param_groups[0]["otherwise_variance"] == 0.1
    assert "noise" not in opt.state[p]
    charted = steepest.Optimizer([p], lr=0.1, direction=AnnealedNoise(Adam(), variance=1.0), chart=LowRank(rank=2))
    before = p.detach().clone()
    p.grad = torch.zeros_like(p)
    charted.step()
    assert not torch.equal(before, p.detach())
    assert int(torch.linalg.matrix_rank(before - p.detach())) <= 2
    searched = steepest.Optimizer([q], direction=AnnealedNoise(Direction(), variance=1e-4), step_size=SLS(eta_max=1.0))
    start = q.detach().clone()
    searched.step(lambda: q.square().sum())
    eta, z = searched.metrics()["lr"], drawn(0, "noise", 1, 0, q)
    assert torch.allclose(start - q.detach(), eta * (2 * start + 0.01 * z), atol=1e-5)


def test_two_that_draw_one_name() -> None:
    """Two parts on one side cannot draw the same numbers unnoticed."""
    with pytest.raises(ValueError, match="both own"):
        steepest.Optimizer([nn.Parameter(torch.ones(2))], direction=AnnealedNoise(AnnealedNoise(Direction())))
