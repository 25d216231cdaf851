"""Laws of the step size from slopes, and of the method made of it: scales are found, units and accidents are not heard."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

import steepest
from steepest import direction, stepsize

CURVATURE = torch.logspace(0, 1, 12, dtype=torch.float64)


def found(first: float, unit: float = 1.0, weight: float = 1.0, steps: int = 150) -> list[float]:
    """The step sizes on a noisy quadratic whose weights are measured in units of ``unit`` and whose loss is weighted."""
    noise = torch.Generator().manual_seed(0)
    x = nn.Parameter(torch.full((12,), 3.0 * unit, dtype=torch.float64))
    opt = steepest.Optimizer([x], direction=direction.Adam(beta2=0.99, eps=0.0), step_size=stepsize.Slope(first=first))
    etas = []
    for _ in range(steps):
        shift = torch.randn(12, generator=noise, dtype=torch.float64)

        def loss(shift: Tensor = shift) -> Tensor:
            return weight * (CURVATURE * (x / unit - shift).square()).sum()

        opt.step(loss)
        etas.append(float(opt.param_groups[0]["found"]))
    return etas


@pytest.mark.parametrize("first", [1e-6, 1e-2])
def test_the_scale_is_found_wherever_it_starts(first: float) -> None:
    """From six decades below, and from nearby, the step size ends within a factor of three of the one found from 1e-4."""
    assert abs(math.log(found(first)[-1] / found(1e-4)[-1])) < math.log(3)


def test_it_has_the_unit_of_the_weights() -> None:
    """Weights measured in thousandths move by a thousand times as much."""
    assert found(1e-1, unit=1000.0)[-1] == pytest.approx(1000 * found(1e-4)[-1], rel=1e-9)


@pytest.mark.parametrize("weight", [1e-6, 1e6])
def test_the_scale_of_the_loss_is_not_heard(weight: float) -> None:
    """Only signs are used, and Adam divides by the gradient's size."""
    assert found(1e-4, weight=weight) == pytest.approx(found(1e-4), rel=1e-9)


def test_the_gain_falls() -> None:
    """Later signs move the step size less, like a small power of their number at most."""
    etas = found(1e-4, steps=400)
    moves = [abs(math.log(b / a)) for a, b in itertools.pairwise(etas)]
    assert max(moves[-100:]) < 0.02 < max(moves[:30])
    assert abs(math.log(etas[-1] / etas[100])) < math.log(1.3) * math.log(400 / 60)


def test_a_chart_is_refused() -> None:
    """The old moments are in its coordinates."""
    with pytest.raises(ValueError, match="LowRank"):
        steepest.Optimizer([nn.Parameter(torch.zeros(4, 4))], direction=direction.Adam(), step_size=stepsize.Slope(),
                           chart=steepest.chart.LowRank(rank=2))  # fmt: skip


def test_a_direction_without_moments_is_refused() -> None:
    """It is said which part lacks what."""
    with pytest.raises(ValueError, match=r"Slope.* needs eps, m, v"):
        steepest.Optimizer([nn.Parameter(torch.zeros(4))], step_size=stepsize.Slope())


def train(opt: steepest.Optimizer, x: Tensor, steps: int) -> None:
    """Some steps on a parabola."""
    for _ in range(steps):
        opt.step(lambda: (x * x).sum())


def test_auto_explains_itself() -> None:
    """What is said is what stands in the group."""
    x = nn.Parameter(torch.tensor([3.0, -2.0]))
    opt = steepest.Auto([x])
    assert "not heard a slope" in opt.explain()
    train(opt, x, 3)
    assert "still growing" in opt.explain()
    train(opt, x, 80)
    assert f"{opt.param_groups[0]['found']:.2g} long" in opt.explain()
    assert f"{opt.param_groups[0]['heard']:.0f} slopes" in opt.explain()


def test_auto_takes_the_memory_of_adamw() -> None:
    """Eight bytes a parameter: two moments in bfloat16, the average in float32."""
    x = nn.Parameter(torch.randn(1024))
    opt = steepest.Auto([x])
    train(opt, x, 1)
    assert sum(s.numel() * s.element_size() for s in opt.state[x].values() if torch.is_tensor(s)) == 8 * 1024
