"""Laws of the step size from slopes, and of the method made of it: noise and curvature are heard, units are not."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

import steepest
from steepest import direction, geometry, stepsize

CURVATURE = torch.logspace(0, 1, 12, dtype=torch.float64)


def walked(
    noise: float = 1.0, weight: float = 1.0, steps: int = 60, sharp: float = 1.0, **options: float
) -> list[dict[str, float]]:
    """What stands in the group after each step on a quadratic whose minimum is thrown about."""
    throw = torch.Generator().manual_seed(0)
    x = nn.Parameter(torch.full((12,), 3.0, dtype=torch.float64))
    opt = steepest.Optimizer([x], direction=direction.Adam(beta1=0.5, beta2=0.95, eps=0.0), geometry=geometry.Relative(),
                             step_size=stepsize.Slope(**options))  # fmt: skip
    seen = []
    for _ in range(steps):
        shift = noise * torch.randn(12, generator=throw, dtype=torch.float64)

        def loss(shift: Tensor = shift) -> Tensor:
            return weight * (CURVATURE * (sharp * (x - 3.0) + 1.0 - shift).square()).sum()

        opt.step(loss)
        seen.append({k: float(v) for k, v in opt.param_groups[0].items() if k in stepsize.Slope.memory})
    return seen


@pytest.mark.parametrize("weight", [1e-6, 1e6])
def test_the_scale_of_the_loss_is_not_heard(weight: float) -> None:
    """Signs and cosines have none, and Adam divides by the gradient's size."""
    for one, other in zip(walked(weight=weight), walked(), strict=True):
        assert one == pytest.approx(other, rel=1e-9)


def test_noise_makes_the_usual_step_shorter() -> None:
    """Gradients that agree allow all of it; the less they agree, the less."""
    signals = [walked(noise, steps=5)[-1]["signal"] for noise in (0.1, 2.0, 5.0, 50.0)]
    assert signals[0] == 1.0
    assert signals == sorted(signals, reverse=True)
    assert signals[-1] < 0.3


def test_without_curvature_the_usual_step_is_reached_in_three_steps() -> None:
    """Tenfold twice, from a hundredth."""
    assert [s["found"] for s in walked(0.0, steps=3, sharp=1e-3)] == pytest.approx([6e-4, 6e-3, 6e-2])


def test_a_model_that_cannot_bear_the_usual_step_does_not_get_it() -> None:
    """Where a hundredth of it is too long already, it stays there; the control is the same model made flatter."""
    assert max(s["found"] for s in walked(0.0, sharp=1e4, steps=40)) < 0.06 / 3
    assert max(s["found"] for s in walked(0.0, sharp=1e-3, steps=40)) >= 0.06


def test_nothing_takes_it_beyond_ten_usual_steps() -> None:
    """A slope that never turns says longer for ever."""
    seen = walked(0.0, sharp=1e-9, steps=300)
    assert max(s["found"] for s in seen) == pytest.approx(0.6)


def test_the_gain_falls_with_every_turn() -> None:
    """Later signs move the step size less."""
    seen = walked(steps=400)
    moves = [abs(math.log(b["found"] / a["found"])) for a, b in itertools.pairwise(seen)]
    assert max(moves[-100:]) < 0.02 < max(moves[:30])


def test_a_fall_of_agreement_means_nothing_and_a_rise_does() -> None:
    """From the fifth comparison on the largest mean counts."""
    for a, b in itertools.pairwise(walked(3.0, steps=100)[6:]):
        assert b["most"] >= a["most"]
        assert b["signal"] >= a["signal"]


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
    assert "not compared two gradients" in opt.explain()
    train(opt, x, 2)
    assert "still on its way up, 0 slopes against it" in opt.explain()
    train(opt, x, 80)
    seen = opt.param_groups[0]
    assert f"{seen['found']:.2g} of the root of a tensor's size" in opt.explain()
    assert f"agree by {seen['most']:.2f} (little noise)" in opt.explain()
    assert f"{seen['turns']:.0f} turns" in opt.explain()


def test_auto_says_where_noise_rules() -> None:
    """Gradients of chance do not agree, and the step that is usual is short."""
    x, chance = nn.Parameter(torch.ones(1000)), torch.Generator().manual_seed(0)
    opt = steepest.Auto([x])
    for _ in range(20):
        g = torch.randn(1000, generator=chance)
        opt.step(lambda g=g: (g * x).sum())  # type: ignore[misc]
    assert "(much noise), which makes 0.006 usual" in opt.explain()


def test_auto_takes_the_memory_of_adamw() -> None:
    """Eight bytes a parameter: two moments in bfloat16, the average in float32."""
    x = nn.Parameter(torch.randn(1024))
    opt = steepest.Auto([x])
    train(opt, x, 1)
    assert sum(s.numel() * s.element_size() for s in opt.state[x].values() if torch.is_tensor(s)) == 8 * 1024
