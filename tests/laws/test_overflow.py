"""Numbers at the end of their type's range: what would be stored as infinity is left alone, and lengths do not overflow."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import nn

import steepest
from steepest.core.options import Lift


@pytest.mark.parametrize("lift", ["eager", "auto"])
@pytest.mark.parametrize(("dtype", "last"), [(torch.float16, 65504.0), (torch.bfloat16, 3.3895313892515355e38),
                                             (torch.float32, 3.4028234663852886e38)])  # fmt: skip
def test_the_guard_looks_at_what_is_stored(dtype: torch.dtype, last: float, lift: Lift) -> None:
    """A move that only the storage type makes infinite stops its element, and it alone; it is counted."""
    x = nn.Parameter(torch.tensor([last, -last, 1.0, last], dtype=dtype))
    opt = steepest.SGD([x], lr=1.0, lift=lift)
    x.grad = torch.tensor([-last / 100, last / 100, -1.0, last / 2], dtype=dtype)
    with pytest.warns(UserWarning, match="2 elements were left as they are"):
        opt.step()
    assert torch.equal(x.detach(), torch.tensor([last, -last, 2.0, last / 2], dtype=dtype))
    assert opt.counters.skipped == 1


def test_a_move_that_is_rounded_to_the_largest_number_is_made() -> None:
    """65519 is stored as 65504, 65520 would be infinite."""
    x = nn.Parameter(torch.tensor([65472.0, 65472.0], dtype=torch.float16))
    opt = steepest.SGD([x], lr=1.0)
    x.grad = torch.tensor([-47.0, -48.0], dtype=torch.float16)
    with pytest.warns(UserWarning, match="1 elements"):
        opt.step()
    assert x.tolist() == [65504.0, 65472.0]


@pytest.mark.parametrize("lift", ["eager", "auto"])
@pytest.mark.parametrize("scale", [1e25, 1e37])
def test_a_clip_by_the_norm_does_not_overflow(scale: float, lift: Any) -> None:
    """MARS divides by the norm what is longer than 1: from there on the scale does not matter."""
    ends = []
    for factor in (1e3, scale):
        x = nn.Parameter(torch.tensor([1.0, -1.0, 2.0]))
        opt = steepest.MARS([x], lr=0.1, weight_decay=0.0, lift=lift)
        for g in (torch.tensor([1.0, -2.0, 0.5]), torch.tensor([0.5, 2.0, 1.0])):
            x.grad = g * factor
            opt.step()
        ends.append(x.detach())
    assert torch.allclose(ends[0], ends[1], rtol=1e-5)
    assert (ends[1] - torch.tensor([1.0, -1.0, 2.0])).abs().min() > 0.01


@pytest.mark.parametrize("scale", [1e-25, 1e25])
@pytest.mark.parametrize("make", [steepest.point.SAM, steepest.point.VaSSO, steepest.point.GAM])
def test_a_radius_is_kept_whatever_the_scale(make: type[steepest.point.Point], scale: float) -> None:
    """Squares of these gradients are 0 or infinite in float32; the perturbation is as long as ever."""
    asked = []
    for factor in (1.0, scale):
        x = nn.Parameter(torch.tensor([0.3, -0.4, 1.2]))
        opt = steepest.Optimizer([x], lr=1e-30, point=make(rho=0.5))
        points: list[torch.Tensor] = []

        def loss(x: torch.Tensor = x, points: list[torch.Tensor] = points, factor: float = factor) -> torch.Tensor:
            points.append(x.detach().clone())
            return (x * torch.tensor([1.0, 2.0, 0.5])).square().sum() * factor

        opt.step(loss)
        asked.append(torch.stack(points))
    assert torch.allclose(asked[0], asked[1], rtol=1e-4)
    assert float((asked[1][-1] - asked[1][0]).norm()) > 0.1


def test_a_weight_that_is_infinite_stays_as_it_is() -> None:
    """A mask of -infinity among the weights is not turned into NaN by the average."""
    x, y = nn.Parameter(torch.tensor([1.0, -torch.inf])), nn.Parameter(torch.ones(2))
    opt = steepest.Auto([x, y])
    with pytest.warns(UserWarning, match="left as they are"):
        opt.step(lambda: x[0].square() + y.square().sum())
    for _ in range(2):
        opt.step(lambda: x[0].square() + y.square().sum())
    assert x[1] == -torch.inf
    assert not x.isnan().any()
    assert (y < 1).all()


@pytest.mark.parametrize("name", ["DoG", "LDoG", "UDoG", "DAdaptAdaGrad", "DAdaptDual"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_that_stand_still_by_rounding_are_told(name: str, dtype: torch.dtype) -> None:
    """Once, with the method's name; float32 weights move, and nothing is said."""
    x = nn.Parameter(torch.full((6,), 50.0, dtype=dtype))
    opt = getattr(steepest, name)([x])
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for _ in range(150):
            opt.step(lambda: (x - 3).square().sum())
    assert [name in str(w.message) and "autocast" in str(w.message) for w in said] == [True] * bool((x == 50).all())
    assert bool((x == 50).all()) == (dtype is torch.bfloat16)
