"""Laws of directions: they descend, have no favourite coordinate or sign, know their units, and collapse to each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from steepest import direction as D
from tests.collect import named
from tests.laws.common import close, directions, few, positive, same, streams, vectors

Stream = list[Tensor]

ALL: dict[str, Callable[[], D.Direction]] = {"gradient": D.Direction, **named("DIRECTIONS")}
every = pytest.mark.parametrize("make", ALL.values(), ids=ALL)


@every
@few
@given(g=vectors())
def test_it_descends(make: Callable[[], D.Direction], g: Tensor) -> None:
    """⟨d, g⟩ > 0 at the first real step (ADOPT's second, where it has seen how large a gradient is)."""
    assume(bool(g.any()))
    d = directions(make(), [g, g])
    assert ((d[1] if isinstance(make(), D.Adopt) else d[0]) * g).sum() > 0


@every
@few
@given(gs=streams())
def test_minus_the_gradients_is_minus_the_direction(make: Callable[[], D.Direction], gs: Stream) -> None:
    assert same(directions(make(), [-g for g in gs]), [-d for d in directions(make(), gs)])


@every
@few
@given(gs=streams(), seed=st.integers(0, 100))
def test_coordinates_are_alike(make: Callable[[], D.Direction], gs: Stream, seed: int) -> None:
    """Renamed coordinates, renamed answers; to rounding where a sum over the tensor takes part."""
    order = torch.randperm(len(gs[0]), generator=torch.Generator().manual_seed(seed))
    assert close(directions(make(), [g[order] for g in gs]), [d[order] for d in directions(make(), gs)])


@every
@few
@given(n=st.integers(1, 5), steps=st.integers(1, 4))
def test_nothing_comes_from_nothing(make: Callable[[], D.Direction], n: int, steps: int) -> None:
    assert not any(d.any() for d in directions(make(), [torch.zeros(n, dtype=torch.float64)] * steps))


SCALE_FREE: dict[str, Callable[[], D.Direction]] = named("SCALE_FREE")


@pytest.mark.parametrize("make", SCALE_FREE.values(), ids=SCALE_FREE)
@few
@given(gs=streams(elements=positive), power=st.integers(-40, 40))
def test_the_scale_of_gradients_does_not_matter(make: Callable[[], D.Direction], gs: Stream, power: int) -> None:
    """To the bit for powers of two, without ε."""
    assert same(directions(make(), [g * 2.0**power for g in gs]), directions(make(), gs))


@pytest.mark.parametrize("make", [D.Direction, D.Momentum, lambda: D.Momentum(nesterov=True),
                                  lambda: D.Cautious(D.Momentum())])  # fmt: skip
@few
@given(gs=streams(), power=st.integers(-40, 40))
def test_the_gradient_has_units(make: Callable[[], D.Direction], gs: Stream, power: int) -> None:
    scale = 2.0**power
    assert same(directions(make(), [g * scale for g in gs]), [d * scale for d in directions(make(), gs)])


@few
@given(gs=streams())
def test_signs_are_signs(gs: Stream) -> None:
    for make in (D.Sign, D.Lion):
        assert all(set(d.tolist()) <= {-1.0, 0.0, 1.0} for d in directions(make(), gs))


# ---- collapses -------------------------------------------------------------------------------------------------------

COLLAPSES: dict[str, tuple[D.Direction, D.Direction]] = named("COLLAPSES")


@pytest.mark.parametrize("pair", COLLAPSES.values(), ids=COLLAPSES)
@few
@given(gs=streams())
def test_collapses(pair: tuple[D.Direction, D.Direction], gs: Stream) -> None:
    if isinstance(pair[0], D.AMSGrad):
        gs = [torch.stack(gs[: i + 1]).abs().sum(0) for i in range(len(gs))]  # growing
    assert close(directions(pair[0], gs), directions(pair[1], gs))


def test_misspelt_and_misplaced_parts_are_refused() -> None:
    """Around needs a direction, MARS one with a β₁."""
    wrong: Any = 3
    with pytest.raises(TypeError, match="goes around a direction"):
        D.Cautious(wrong)
    with pytest.raises(ValueError, match="beta1"):
        directions(D.Mars(D.Sign()), [torch.zeros(1)])
