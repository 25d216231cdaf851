"""Laws of directions: they descend, have no favourite coordinate or sign, know their units, and collapse to each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from steepest import direction as D
from tests.collect import named
from tests.laws.common import betas, directions, few, numbers, positive, streams, vectors

Stream = list[Tensor]

ALL: dict[str, Callable[[], D.Direction]] = {
    "gradient": D.Direction,
    "momentum": D.Momentum,
    "dampened": lambda: D.Momentum(momentum=0.5, dampening=0.5),
    "Nesterov": lambda: D.Momentum(nesterov=True),
    "coupled": lambda: D.Coupled(D.Momentum(), weight_decay=0.1),
    "sign": D.Sign,
    "Adam": D.Adam,
    "Adam uncorrected": lambda: D.Adam(bias_correction=False),
    "AMSGrad": D.AMSGrad,
    "NAdam": D.NAdam,
    "AdaBelief": D.AdaBelief,
    "AdaGrad-SQR": D.AdaGradSQR,
    "Adam-SQR": D.AdamSQR,
    "cautious gradient": lambda: D.Cautious(D.Direction()),
    "cautious Adam": lambda: D.Cautious(D.Adam()),
    "cautious Lion, mean": lambda: D.Cautious(D.Lion(), scale="mean"),
    "MARS": lambda: D.Mars(D.Adam()),
    "MARS-Lion unclipped": lambda: D.Mars(D.Lion(), clip=False),
}
ALL |= named("DIRECTIONS")
every = pytest.mark.parametrize("make", ALL.values(), ids=ALL)


def same(a: Stream, b: Stream) -> bool:
    """To the bit."""
    return all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


def close(a: Stream, b: Stream, rtol: float = 1e-12) -> bool:
    return all(torch.allclose(p, q, rtol=rtol, atol=1e-14) for p, q in zip(a, b, strict=True))


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


SCALE_FREE: dict[str, Callable[[], D.Direction]] = {
    "sign": D.Sign,
    "cautious Lion": lambda: D.Cautious(D.Lion()),
    "Adam": lambda: D.Adam(eps=0.0),
    "AMSGrad": lambda: D.AMSGrad(eps=0.0),
    "NAdam": lambda: D.NAdam(eps=0.0),
    "AdaBelief": lambda: D.AdaBelief(eps=0.0),
    "AdaGrad-SQR rooted": lambda: D.AdaGradSQR(root=True),
    "RMSprop": lambda: D.AdamSQR(root=True),
    "cautious Adam": lambda: D.Cautious(D.Adam(eps=0.0)),
    "MARS": lambda: D.Mars(D.Adam(eps=0.0), clip=False),
}


SCALE_FREE |= named("SCALE_FREE")


@pytest.mark.parametrize("make", SCALE_FREE.values(), ids=SCALE_FREE)
@few
@given(gs=streams(elements=positive), power=st.integers(-40, 40))
def test_the_scale_of_gradients_does_not_matter(make: Callable[[], D.Direction], gs: Stream, power: int) -> None:
    """To the bit for powers of two, without ε."""
    assert same(directions(make(), [g * 2.0**power for g in gs]), directions(make(), gs))


@few
@given(gs=streams(elements=positive), scale=st.floats(0.01, 100))
def test_adam_is_nearly_scale_free(gs: Stream, scale: float) -> None:
    """With ε the answer changes by ε/|g| at most: smallest gradients here are 1/8 and 1/800."""
    assert close(directions(D.Adam(), [g * scale for g in gs]), directions(D.Adam(), gs), rtol=1e-4)


@pytest.mark.parametrize("make", [D.Direction, D.Momentum, lambda: D.Momentum(nesterov=True),
                                  lambda: D.Cautious(D.Momentum())])  # fmt: skip
@few
@given(gs=streams(), power=st.integers(-40, 40))
def test_the_gradient_has_units(make: Callable[[], D.Direction], gs: Stream, power: int) -> None:
    scale = 2.0**power
    assert same(directions(make(), [g * scale for g in gs]), [d * scale for d in directions(make(), gs)])


@pytest.mark.parametrize("inner", [D.Direction, D.Momentum, D.Adam, D.AMSGrad, D.NAdam, D.AdaBelief, D.Lion, D.Adopt])
@pytest.mark.parametrize("scale", ["count", "mean"])
@few
@given(gs=streams())
def test_caution(inner: Callable[[], D.Direction], scale: Literal["count", "mean"], gs: Stream) -> None:
    """Where a cautious direction moves it moves as its inner one, times one factor where g is not 0; never against it."""
    plain, cautious = directions(inner(), gs), directions(D.Cautious(inner(), scale=scale, cap=2), gs)
    for g, d, c in zip(gs, plain, cautious, strict=True):
        agrees, n = d * g > 0, int((g != 0).sum())
        factor = min(2.0, n / (int(agrees.sum()) + 1) if scale == "count" else n / max(int(agrees.sum()), 1))
        assert torch.allclose(c, torch.where(g == 0, d, torch.where(agrees, d * factor, 0.0)), rtol=1e-14)
        assert (c * g >= 0).all()


@pytest.mark.parametrize("inner", [D.Momentum, D.Adam, D.Lion])
@pytest.mark.parametrize("scale", ["count", "mean"])
@few
@given(gs=streams(), dead=st.integers(1, 30))
def test_caution_does_not_see_what_never_has_a_gradient(inner: Callable[[], D.Direction], scale: Any, gs: Stream,
                                                        dead: int) -> None:  # fmt: skip
    """Rows of an embedding that no batch touches change nothing for those that are."""
    alone = directions(D.Cautious(inner(), scale=scale), gs)
    beside = directions(D.Cautious(inner(), scale=scale), [torch.cat([g, g.new_zeros(dead)]) for g in gs])
    assert same([d[: len(gs[0])] for d in beside], alone)
    assert not any(d[len(gs[0]) :].any() for d in beside)


@few
@given(gs=streams(), beta=st.sampled_from([0.25, 0.5, 0.9]))
def test_adam_moves_by_one_at_most(gs: Stream, beta: float) -> None:
    """With β₁ = β₂ the same weights average g and g², so |m̂| ≤ √v̂ (Jensen)."""
    assert all((d.abs() <= 1 + 1e-12).all() for d in directions(D.Adam(beta1=beta, beta2=beta, eps=0.1), gs))


@few
@given(gs=streams())
def test_signs_are_signs(gs: Stream) -> None:
    for make in (D.Sign, D.Lion):
        assert all(set(d.tolist()) <= {-1.0, 0.0, 1.0} for d in directions(make(), gs))


# ---- collapses -------------------------------------------------------------------------------------------------------

COLLAPSES: dict[str, tuple[D.Direction, D.Direction]] = {
    "momentum 0 is the gradient": (D.Momentum(momentum=0.0), D.Direction()),
    "momentum 0 is the gradient, dampened or not": (D.Momentum(momentum=0.0, dampening=0.7), D.Direction()),
    "no decay is no coupling": (D.Coupled(D.Adam()), D.Adam()),
    "MARS with γ = 0 is its inner direction": (D.Mars(D.Adam(), gamma=0.0, clip=False), D.Adam()),
    "MARS with β₁ = 0 is its inner direction": (D.Mars(D.Adam(beta1=0.0), clip=False), D.Adam(beta1=0.0)),
    "MARS of a sign with γ = 0 does not feel the clip": (D.Mars(D.Lion(beta1=0.0), gamma=0.0), D.Sign()),
    "AMSGrad with β₂ = 0 and g growing is Adam": (D.AMSGrad(beta2=0.0), D.Adam(beta2=0.0)),
    "NAdam without momentum looks nowhere ahead": (D.NAdam(beta1=0.0), D.Adam(beta1=0.0)),
    "Adam without memory has no bias": (D.Adam(beta1=0.0, beta2=0.0),
                                        D.Adam(beta1=0.0, beta2=0.0, bias_correction=False)),
}  # fmt: skip


COLLAPSES |= named("COLLAPSES")


@pytest.mark.parametrize("pair", COLLAPSES.values(), ids=COLLAPSES)
@few
@given(gs=streams())
def test_collapses(pair: tuple[D.Direction, D.Direction], gs: Stream) -> None:
    if isinstance(pair[0], D.AMSGrad):
        gs = [torch.stack(gs[: i + 1]).abs().sum(0) for i in range(len(gs))]  # growing
    assert close(directions(pair[0], gs), directions(pair[1], gs))


@few
@given(gs=streams(), eps=st.sampled_from([1e-8, 0.125, 1.0]))
def test_adam_without_memory_is_nearly_sign(gs: Stream, eps: float) -> None:
    assert close(directions(D.Adam(beta1=0.0, beta2=0.0, eps=eps), gs), [g / (g.abs() + eps) for g in gs])


@few
@given(gs=streams(), beta=betas)
def test_dampening_by_momentum_is_an_average(gs: Stream, beta: float) -> None:
    """From the first gradient on: m ← βm + (1-β)g with m₁ = g₁."""
    m, want = gs[0], [gs[0]]
    for g in gs[1:]:
        m = beta * m + (1 - beta) * g
        want.append(m)
    assert close(directions(D.Momentum(momentum=beta, dampening=beta), gs), want)


@pytest.mark.parametrize("inner", [D.Direction, D.Momentum, D.Adam, D.Lion])
@few
@given(g=vectors(elements=positive), scale=st.sampled_from(["count", "mean"]))
def test_caution_on_a_constant_gradient(
    inner: Callable[[], D.Direction], g: Tensor, scale: Literal["count", "mean"]
) -> None:
    """Everything agrees: the mean leaves the direction as it is, the count takes n/(n+1) of it."""
    part = len(g) / (len(g) + 1) if scale == "count" else 1.0
    want = [d * part for d in directions(inner(), [g] * 4)]
    assert close(directions(D.Cautious(inner(), scale=scale), [g] * 4), want)


@few
@given(gs=streams(elements=numbers), lam=positive)
def test_coupled_decay_is_a_penalty(gs: Stream, lam: float) -> None:
    """At x = 0 there is nothing to decay, elsewhere the gradient is g + λx."""
    assert same(directions(D.Coupled(D.Momentum(), weight_decay=lam), gs), directions(D.Momentum(), gs))


def test_misspelt_and_misplaced_parts_are_refused() -> None:
    """Around needs a direction, MARS one with a β₁."""
    wrong: Any = 3
    with pytest.raises(TypeError, match="goes around a direction"):
        D.Cautious(wrong)
    with pytest.raises(ValueError, match="beta1"):
        directions(D.Mars(D.Sign()), [torch.zeros(1)])
