"""Laws of multidimensional backtracking: the set never loses a good step size, and the loss never rises."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import steepest
from steepest import channel, chart, stepsize
from steepest.direction import BoxScaled, EllipsoidScaled
from tests.laws.common import few, matrices

SETS = ["BoxBacktracking", "EllipsoidBacktracking"]
SEEDS = st.integers(0, 50)


def descend(name: str, A: Tensor, start: Tensor, steps: int = 12, **options: Any) -> tuple[list[float], Tensor, Tensor]:
    """Losses ½ xᵀAx before each step, the point and the state at the end."""
    x = nn.Parameter(start.clone())
    opt = getattr(steepest, name)([x], lift="eager", **options)
    losses = [float(opt.step(lambda: x @ A @ x / 2)) for _ in range(steps)]
    return losses, x.detach(), opt.state[x]["b"]


def convex(seed: int, n: int = 4) -> Tensor:
    """A positive definite matrix with scales from 1 to 1000."""
    Q = matrices(n, n, seed) * torch.logspace(0, 1.5, n, dtype=torch.float64)
    return Q.T @ Q + 0.1 * torch.eye(n, dtype=torch.float64)


def good(A: Tensor, seed: int) -> Tensor:
    """Step sizes p with diag(1/p) ≥ A, on the edge of what is allowed: every step with them is sufficient."""
    p = torch.rand(len(A), dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + 0.1
    return p / torch.linalg.eigvalsh(p.sqrt()[:, None] * A * p.sqrt()).max()


@pytest.mark.parametrize("name", SETS)
@few
@given(seed=SEEDS, which=SEEDS)
def test_no_good_step_size_is_ever_cut_off(name: str, seed: int, which: int) -> None:
    """Every diagonal preconditioner that would pass everywhere stays in the set."""
    A = convex(seed)
    p = good(A, which)
    _, _, b = descend(name, A, matrices(4, 1, seed + 1).reshape(-1), c0=10 * float(p.max()))
    inside = float((p / b).max() if name == "BoxBacktracking" else (p / b).square().sum())
    assert inside <= 1 + 1e-9


@pytest.mark.parametrize("name", SETS)
@few
@given(seed=SEEDS)
def test_the_loss_falls_and_the_set_shrinks(name: str, seed: int) -> None:
    A, start = convex(seed), matrices(4, 1, seed + 1).reshape(-1)
    losses, _, b = descend(name, A, start)
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0] * 0.9
    assert b.log().sum() < 4 * math.log(1e10)


@pytest.mark.parametrize("name", SETS)
@few
@given(seed=SEEDS, power=st.integers(-20, 20))
def test_the_unit_of_the_loss_does_not_matter(name: str, seed: int, power: int) -> None:
    A, start = convex(seed), matrices(4, 1, seed + 1).reshape(-1)
    _, x, _ = descend(name, A, start, c0=64.0)
    _, y, _ = descend(name, A * 2.0**power, start, c0=64.0 * 2.0**-power)
    assert torch.allclose(x, y, rtol=1e-9, atol=1e-12)


@few
@given(seed=SEEDS)
def test_the_order_of_coordinates_does_not_matter(seed: int) -> None:
    A, start, order = convex(seed), matrices(4, 1, seed + 1).reshape(-1), torch.tensor([2, 0, 3, 1])
    _, x, _ = descend("EllipsoidBacktracking", A, start, c0=1.0)
    _, y, _ = descend("EllipsoidBacktracking", A[order][:, order], start[order], c0=1.0)
    assert torch.allclose(x[order], y, rtol=1e-6, atol=1e-9)


def test_by_hand_in_one_dimension() -> None:
    """f = 2x² from x = 1, c₀ = 1. A step p is good where h = 32p² - 8p ≤ 0, that is up to ¼.

    Box: p = ½ lands on -1, h = 4; g = 4 and g⁺ = -4, so dh = 8 + 16 = 24, u = 24/(12 - 4) = 3, b = ⅓, and p = b/2 passes.
    In one dimension the ellipsoid is the interval, with a candidate of b/√2: two cuts, b ← (dh p - h)/dh.
    """
    x = nn.Parameter(torch.ones(1, dtype=torch.float64))
    opt: Any = steepest.BoxBacktracking([x], c0=1.0)
    opt.step(lambda: 2 * x.square().sum())
    assert opt.state[x]["b"].item() == pytest.approx(1 / 3)
    assert x.item() == pytest.approx(1 / 3)
    assert (opt.counters.forwards, opt.counters.backwards) == (4, 2)
    y = nn.Parameter(torch.ones(1, dtype=torch.float64))
    opt = steepest.EllipsoidBacktracking([y], c0=1.0)
    opt.step(lambda: 2 * y.square().sum())
    b = 1.0
    for _ in range(2):
        p = b / math.sqrt(2)
        b = p - (32 * p * p - 8 * p) / (64 * p - 8)
    assert opt.state[y]["b"].item() == pytest.approx(b)
    assert y.item() == pytest.approx(1 - 4 * b / math.sqrt(2))
    assert (opt.counters.forwards, opt.counters.backwards) == (6, 3)


@pytest.mark.parametrize("name", SETS)
def test_a_cliff_halves_the_set(name: str) -> None:
    """Where the trial is not finite, or f bends downwards, there is no plane: the set is halved until a trial passes."""
    x = nn.Parameter(torch.full((2,), 0.5, dtype=torch.float64))
    opt = getattr(steepest, name)([x], c0=1024.0)
    opt.step(lambda: torch.where(x.abs().max() < 1, -x.sum(), torch.inf))
    halvings = [math.log2(1024.0 / float(b)) for b in opt.state[x]["b"] / (1 if name.startswith("Box") else 2**0.5)]
    assert halvings == pytest.approx([round(k) for k in halvings])
    assert halvings[0] > 5
    assert 0.5 < float(x.detach().max()) < 1


def test_parts_want_their_partner() -> None:
    x = [nn.Parameter(torch.ones(2))]
    with pytest.raises(ValueError, match="BoxScaled"):
        steepest.Optimizer(x, direction=BoxScaled())
    with pytest.raises(ValueError, match="EllipsoidScaled"):
        steepest.Optimizer(x, direction=EllipsoidScaled(), step_size=stepsize.BoxBacktracking())


@pytest.mark.parametrize("seam", [{"chart": chart.LowRank(rank=2)}, {"channel": channel.TopK()}], ids=str)
def test_charts_and_channels_are_refused(seam: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="leave out one"):
        steepest.EllipsoidBacktracking([nn.Parameter(torch.ones(4, 4))], **seam)
