"""Flooding: downhill above the level, uphill below it."""

from __future__ import annotations

import math

import pytest
import torch

import steepest
from steepest.losses import flood


@pytest.mark.parametrize(("value", "flooded", "slope"), [(3.0, 3.0, 1.0), (1.0, 3.0, -1.0), (2.0, 2.0, 0.0)])
def test_by_hand(value: float, flooded: float, slope: float) -> None:
    """Level 2."""
    loss = torch.tensor(value, requires_grad=True)
    found = flood(loss, 2.0)
    assert float(found.detach()) == flooded
    assert float(torch.autograd.grad(found, loss)[0]) == slope


def test_the_loss_stays_at_its_level() -> None:
    """Any method that descends; without flooding the same run goes far below."""
    for level, least, most in ((0.5, 0.3, 0.7), (0.0, 0.0, 0.01)):
        x = torch.nn.Parameter(torch.tensor([3.0, 2.0]))
        opt = steepest.AdamW([x], lr=0.05, weight_decay=0.0)
        for _ in range(300):
            opt.step(lambda: flood(x.square().sum(), level))
        assert least <= float(x.detach().square().sum()) <= most


@pytest.mark.parametrize("level", [math.nan, math.inf])
def test_a_level_is_a_number(level: float) -> None:
    with pytest.raises(ValueError, match="level must be finite"):
        flood(torch.tensor(1.0), level)


def test_it_has_its_old_name() -> None:
    assert steepest.nn.flood is flood
