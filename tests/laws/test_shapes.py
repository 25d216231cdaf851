"""Maps keep the shape: a state or a direction of another one is refused, not broadcast."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

import steepest
from steepest.core.part import Direction, NewState, Scalars, State
from steepest.core.rule import total


class Sums(Direction):
    """Keeps one number."""

    state: ClassVar = {"m": State()}

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        return g, {"m": total(g)}


class Rows(Direction):
    """Keeps one row."""

    state: ClassVar = {"m": State()}
    pointwise = False

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        return g, {"m": g.mean(0, keepdim=True)}


class Row(Rows):
    """Answers one row."""

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        return g[:1], {"m": g}


@pytest.mark.filterwarnings("ignore:steepest runs eagerly")
@pytest.mark.parametrize("nonfinite", ["guard", "propagate"])
@pytest.mark.parametrize("lift", ["eager", "auto"])
@pytest.mark.parametrize(("make", "name"), [(Sums, "m"), (Rows, "m"), (Row, "d")])
def test_what_would_be_broadcast_is_refused(make: type[Direction], name: str, lift: Any, nonfinite: Any) -> None:
    """At the first step, with the part named, also inside another; weights stay."""
    x = nn.Parameter(torch.ones(4, 3))
    direction = steepest.direction.Coupled(make())
    opt = steepest.Optimizer([x], lr=0.1, direction=direction, lift=lift, nonfinite=nonfinite)
    owner = make.__name__ if name == "m" else "Coupled"
    with pytest.raises(
        ValueError, match=rf"{owner}\(.*\) answers '{name}' of shape .* a map's direction and state have"
    ):
        opt.step(lambda: x.square().sum())
    assert torch.equal(x.detach(), torch.ones(4, 3))
