"""Laws of the schedule-free point: two sequences in one stored tensor, and the plain average where nothing pulls."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import steepest
from steepest import point
from tests.laws.common import few, streams


@few
@given(gs=streams(length=6), gamma=st.sampled_from([0, 2, 5]), pull=st.sampled_from([0.0, 0.3, 0.9]))
def test_three_sequences(gs: list[Tensor], gamma: int, pull: float) -> None:
    """Walked by hand with y, z and the average all written down, on a loss whose gradient depends on y."""
    x = nn.Parameter(torch.ones_like(gs[0]))
    opt = steepest.Optimizer([x], lr=0.3, point=point.ScheduleFree(gamma=gamma, pull=pull))
    y = z = mean = torch.ones_like(gs[0])
    for t, g in enumerate(gs, 1):
        opt.step(lambda g=g: (g * x).sum() + x.square().sum() / 2)  # type: ignore[misc]
        z = z - 0.3 * (g + y)
        mean = mean + (1 + gamma) / (t + gamma) * (z - mean)
        y = (1 - pull) * z + pull * mean
        assert torch.allclose(x.detach(), y, rtol=1e-10, atol=1e-10)
    with opt.averaged():
        assert torch.allclose(x.detach(), mean, rtol=1e-10, atol=1e-10)


def test_what_has_no_gradient_stays() -> None:
    """A parameter that is not moved is not pulled either, and its own steps count."""
    x, idle = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    opt = steepest.SGD([x, idle], lr=0.1, point=point.ScheduleFree(pull=0.5))
    for t in range(6):
        before = idle.detach().clone()
        used = [x, idle] if t % 3 == 0 else [x]
        opt.zero_grad()
        torch.stack([p.square().sum() for p in used]).sum().backward()
        opt.step()
        assert torch.equal(idle.detach(), before) == (t % 3 != 0)
    alone = nn.Parameter(torch.ones(2))
    other = steepest.SGD([alone], lr=0.1, point=point.ScheduleFree(pull=0.5))
    for _ in range(2):
        other.step(lambda: alone.square().sum())
    assert torch.equal(alone.detach(), idle.detach())


@pytest.mark.parametrize("gamma", [0, 3])
def test_a_checkpoint_from_before_there_were_weights_goes_on(gamma: int) -> None:
    """At one learning rate the sum of weights follows from the count; saved with it, a run goes on to the bit."""
    ends: list[Tensor] = []
    for told in (True, True, False):
        x = nn.Parameter(torch.ones(3, dtype=torch.float64))
        opt = steepest.SGD([x], lr=0.1, point=point.ScheduleFree(gamma=gamma))
        for t in range(8):
            x.grad = x.detach() * torch.arange(1.0, 4.0, dtype=torch.float64)
            opt.step()
            if t == 4 and ends:
                saved, opt = opt.state_dict(), steepest.SGD([x], lr=0.1, point=point.ScheduleFree(gamma=gamma))
                saved["state"][0] = {k: v for k, v in saved["state"][0].items() if told or k != "weighed"}
                opt.load_state_dict(saved)
        ends.append(x.detach())
    assert torch.equal(ends[0], ends[1])
    assert torch.allclose(ends[0], ends[2], rtol=1e-14)


def test_a_threshold_goes_with_the_part_of_the_step_that_is_made() -> None:
    """Where the gradient is balanced by an L1 penalty, y stays: the soft threshold is of the same step as the move."""
    x = nn.Parameter(torch.tensor([2.0, -3.0], dtype=torch.float64))
    opt = steepest.Optimizer([x], lr=0.1, point=point.ScheduleFree(), geometry=steepest.geometry.L1(l1=0.5))
    for _ in range(5):
        opt.step(lambda: -0.5 * x.abs().sum())
    assert torch.allclose(x.detach(), torch.tensor([2.0, -3.0], dtype=torch.float64), rtol=1e-14)


def test_noise_is_averaged_away() -> None:
    """On a noisy parabola what is returned is nearer than the point that walks: the mean of its points is meant."""
    chance = torch.Generator().manual_seed(0)
    x = nn.Parameter(torch.ones(200))
    opt = steepest.SGD([x], lr=0.3, point=point.ScheduleFree(pull=0.5))
    for _ in range(200):
        g = torch.randn(200, generator=chance)
        opt.step(lambda g=g: x.square().sum() / 2 + (g * x).sum())  # type: ignore[misc]
    mean = opt.state[x]["average"]
    z = (x.detach() - 0.5 * mean) / 0.5
    assert mean.norm() < 0.3 * z.norm()


@pytest.mark.parametrize("pull", [-0.1, 1.0])
def test_a_pull_beyond_its_range_is_refused(pull: float) -> None:
    """At 1 the walking point would be lost."""
    with pytest.raises(ValueError, match="pull must lie in"):
        point.ScheduleFree(pull=pull)
