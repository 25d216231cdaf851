"""Laws of the decay that fades: it follows what batches want of the weights' size, within bounds, and nothing else."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import steepest
from steepest import direction, geometry, stepsize

#: rates far below 1 keep steps short here, which a user would be warned of
pytestmark = pytest.mark.filterwarnings("ignore:.* finds its step size itself")


def walked(target: float, steps: int = 60, decays: tuple[float, ...] = (0.1,), weight: float = 1.0) -> float:
    """κ after some steps on a parabola for each of two groups, the second with its minimum on the other side."""
    xs = [nn.Parameter(torch.full((6,), 1.0, dtype=torch.float64)) for _ in decays]
    groups = [{"params": [x], "weight_decay": decay} for x, decay in zip(xs, decays, strict=True)]
    opt = steepest.Optimizer(groups, lr=1e-3, direction=direction.Adam(), geometry=geometry.Relative(),
                             step_size=stepsize.FadingSlope())  # fmt: skip

    def loss() -> torch.Tensor:
        apart = [(x - (target if k == 0 else 2.0 - target)).square().sum() for k, x in enumerate(xs)]
        return weight * torch.stack(apart).sum()

    for _ in range(steps):
        opt.step(loss)
    return float(opt.param_groups[0]["fade"])


def test_each_batch_has_one_word() -> None:
    """exp(0.05) a batch, with the sign of the slope outwards."""
    assert walked(3.0, steps=4) == pytest.approx(math.exp(-0.2))
    assert walked(-1.0, steps=4) == pytest.approx(math.exp(0.2))


def test_within_bounds() -> None:
    """Neither none at all nor more than twice what was given."""
    assert walked(3.0) == pytest.approx(3 / 8)
    assert walked(-1.0) == pytest.approx(2.0)


@pytest.mark.parametrize("weight", [1e-6, 1e6])
def test_the_scale_of_the_loss_is_not_heard(weight: float) -> None:
    """Signs have none."""
    assert walked(3.0, steps=9, weight=weight) == walked(3.0, steps=9)


def test_who_has_no_decay_has_no_word() -> None:
    """A tensor without decay is not asked; the control asks it, and it is the louder one."""
    assert walked(1.5, steps=4, decays=(0.1, 0.0)) == pytest.approx(math.exp(-0.2))
    assert walked(1.5, steps=4, decays=(0.1, 0.9)) == pytest.approx(math.exp(0.2))
    assert walked(3.0, steps=4, decays=(0.0,)) == 1.0


def test_maximizing_turns_the_words_around() -> None:
    """What raises the loss is what is wanted then."""
    x = nn.Parameter(torch.ones(3))
    opt = steepest.Optimizer([x], direction=direction.Adam(), geometry=geometry.Relative(weight_decay=0.1),
                             step_size=stepsize.FadingSlope(), maximize=True)  # fmt: skip
    opt.step(lambda: x.sum())
    assert opt.param_groups[0]["fade"] == pytest.approx(math.exp(-0.05))


def test_a_batch_without_a_gradient_says_nothing() -> None:
    """κ is as before."""
    x = nn.Parameter(torch.ones(3))
    opt = steepest.Auto([x])
    opt.step(lambda: 0.0 * x.sum())
    assert opt.param_groups[0]["fade"] == 1.0


def test_the_decay_that_moves_is_the_faded_one() -> None:
    """Two runs that differ in κ alone differ by the decay."""
    ends = []
    for fade in (1.0, 0.5):
        x = nn.Parameter(torch.full((2,), 4.0, dtype=torch.float64))
        opt = steepest.Optimizer([x], lr=1.0, direction=direction.Adam(), geometry=geometry.Relative(weight_decay=0.1),
                                 step_size=stepsize.FadingSlope())  # fmt: skip
        opt.param_groups[0]["fade"] = fade
        opt.step(lambda x=x: x.sum())  # type: ignore[misc]
        ends.append(x.detach()[0].item())
    eta, s = 0.06 / 100, 2.0
    assert ends[1] - ends[0] == pytest.approx(s * eta * 0.1 * 0.5 * 4.0)


def test_it_needs_a_geometry_that_listens() -> None:
    """Said when it is made."""
    with pytest.raises(ValueError, match="needs a geometry whose decay fades"):
        steepest.Optimizer([nn.Parameter(torch.ones(1))], direction=direction.Adam(), step_size=stepsize.FadingSlope(),
                           geometry=geometry.Decay(weight_decay=0.1))  # fmt: skip
