"""Laws of storage: rounding is fair on the average, never further than it says, and exact where it can be."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from steepest.core.part import State
from steepest.engine import codec
from tests.laws.common import few

CPU = torch.device("cpu")
KINDS = pytest.mark.parametrize("kind", ["bf16", "q8s", "q8u"])
#: largest relative error: one unit in the last place; smallest magnitude relative to its block that is a normal code
ULP = {"bf16": 2.0**-7, "q8s": 2.0**-3, "q8u": 2.0**-3}
LEAST = {"q8s": 2.0**-15, "q8u": 2.0**-31}


def numbers(kind: str, n: int, seed: int, spread: float = 3.0) -> Tensor:
    """Float32 numbers over some orders of magnitude, signed where the kind is."""
    r = torch.Generator().manual_seed(seed)
    x = torch.exp(spread * torch.randn(n, generator=r)) * torch.sign(torch.randn(n, generator=r))
    return x.abs() if kind == "q8u" else x


def stored(kind: str, x: Tensor, seed: int = 0, salt: int = 0) -> Tensor:
    """What comes back after x was stored."""
    parts = tuple(codec.create("v", x, kind, None).values())
    codec.encode(kind, x, parts, 0, salt, seed)
    return codec.decode(kind, parts, torch.float32)


def scales(x: Tensor) -> Tensor:
    """The largest magnitude of each element's block."""
    padded = torch.nn.functional.pad(x.abs(), (0, -len(x) % codec.BLOCK)).view(-1, codec.BLOCK)
    return padded.amax(1).repeat_interleave(codec.BLOCK)[: len(x)]


@KINDS
@few
@given(n=st.integers(1, 600), seed=st.integers(0, 1000))
def test_the_error_is_less_than_one_unit(kind: str, n: int, seed: int) -> None:
    """Relative, for what is not tiny beside its block's largest; the tiny ones become zero or the least code."""
    x = numbers(kind, n, seed)
    y = stored(kind, x, seed)
    tiny = x.abs() < LEAST.get(kind, 0.0) * scales(x)
    assert ((y - x).abs()[~tiny] <= ULP[kind] * x.abs()[~tiny]).all()
    assert (y.abs()[tiny] <= 1.01 * LEAST.get(kind, 0.0) * scales(x)[tiny]).all()
    assert (y * x >= 0).all()  # no sign is lost


@KINDS
@pytest.mark.parametrize("spread", [0.5, 6.0])
def test_rounding_is_fair(kind: str, spread: float) -> None:
    """The mean over many steps is the number itself: within five standard errors of the worst case."""
    x, rounds = numbers(kind, 300, 1, spread), 1000
    mean = torch.zeros(300, dtype=torch.float64)
    for seed in range(rounds):
        mean += stored(kind, x, seed).double() / rounds
    unit = torch.maximum(ULP[kind] * x.abs(), LEAST.get(kind, 0.0) * scales(x)).double()
    assert ((mean - x.double()).abs() <= 5 * unit / 2 / rounds**0.5).all()


@KINDS
@few
@given(n=st.integers(1, 600), seed=st.integers(0, 100))
def test_what_was_stored_is_stored_again_without_change(kind: str, n: int, seed: int) -> None:
    """Representable numbers are exact, whatever the random bits: zeros, block maxima and everything that came back."""
    y = stored(kind, numbers(kind, n, seed), seed)
    assert torch.equal(stored(kind, y, seed + 1), y)
    assert not stored(kind, torch.zeros(n), seed).any()


@few
@given(n=st.integers(1, 600), seed=st.integers(0, 100))
def test_the_largest_of_a_block_is_exact(n: int, seed: int) -> None:
    for kind in ("q8s", "q8u"):
        x = numbers(kind, n, seed)
        assert torch.equal(stored(kind, x, seed)[x.abs() == scales(x)], x[x.abs() == scales(x)])


def test_what_is_not_finite_stays_what_it_is() -> None:
    x = torch.tensor([float("inf"), -float("inf"), float("nan"), 0.0, -0.0, 3.4e38, 1e-45])
    y = stored("bf16", x)
    assert torch.equal(y[:2], x[:2])
    assert y[2].isnan()
    assert torch.equal(y[3:5], x[3:5])


@KINDS
def test_random_bits_belong_to_element_parameter_and_step(kind: str) -> None:
    """The same for the same three, others otherwise; torch's own stream is left alone."""
    x, before = numbers(kind, 512, 0), torch.get_rng_state()
    one = stored(kind, x, seed=1, salt=2)
    assert torch.equal(one, stored(kind, x, seed=1, salt=2))
    assert (one != stored(kind, x, seed=2, salt=2)).float().mean() > 0.1
    assert (one != stored(kind, x, seed=1, salt=3)).float().mean() > 0.1
    same = stored(kind, torch.full((512,), 1.03), seed=1)
    assert kind != "bf16" or len(same.unique()) == 2  # elements of equal value are rounded apart
    assert torch.equal(torch.get_rng_state(), before)


def test_bits_are_uniform() -> None:
    """Each of the 32 bits is set half of the time, and neighbours do not agree more than chance has it."""
    drawn = codec.bits(1 << 15, 0, 7, 3, CPU)
    bits = torch.stack([(drawn >> k) & 1 for k in range(32)]).double()
    assert ((bits.mean(1) - 0.5).abs() < 5 * 0.5 / 2**7.5).all()
    neighbours = (bits[:, 1:] == bits[:, :-1]).double().mean(1)
    assert ((neighbours - 0.5).abs() < 5 * 0.5 / 2**7.5).all()
    across = torch.corrcoef(bits) - torch.eye(32)
    assert across.abs().max() < 6 / 2**7.5


@KINDS
def test_pieces_are_rounded_as_the_whole(kind: str) -> None:
    """Random bits depend on the place in the tensor, not on where a piece begins."""
    x = numbers(kind, 3 * codec.BLOCK, 5)
    whole = codec.create("v", x, kind, None)
    codec.encode(kind, x, tuple(whole.values()), 0, 1, 2)
    parts = codec.create("v", x, kind, None)
    for o in (0, codec.BLOCK):
        e = o + codec.BLOCK * (1 + (o > 0))
        views = tuple(t[o:e] if len(t) == len(x) else t[o // codec.BLOCK : e // codec.BLOCK] for t in parts.values())
        codec.encode(kind, x[o:e], views, o, 1, 2)
    assert all(torch.equal(whole[k], parts[k]) for k in whole)


def test_what_must_be_exact_is_exact() -> None:
    """A reference point keeps full precision under every codec, and double precision stays double."""
    for name in codec.CODECS:
        assert codec.kind(State(exact=True), name, torch.float32) == "f32"
    assert codec.kind(State(), "float32", torch.float64) == "f64"
    assert [codec.kind(State(signed=s), "int8", torch.float32) for s in (True, False)] == ["q8s", "q8u"]
