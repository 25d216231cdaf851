"""Laws of the codecs themselves: rounding is unbiased, bounded, and the same whoever does it and in whatever pieces."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import steepest
from steepest.core.options import Codec, Lift
from steepest.engine import codec

KINDS = ("bf16", "q8s", "q8u")


def _room(kind: str, n: int) -> tuple[Tensor, ...]:
    if kind == "bf16":
        return (torch.zeros(n, dtype=torch.bfloat16),)
    return torch.zeros(n, dtype=torch.uint8), torch.zeros(-(-n // codec.BLOCK))


def _stored(kind: str, x: Tensor, salt: int = 3, seed: int = 0) -> Tensor:
    room = _room(kind, len(x))
    codec.encode(kind, x, room, 0, salt, seed)
    return codec.decode(kind, room, torch.float32)


def _wide(n: int, signed: bool, spread: float = 6.0) -> Tensor:
    """Numbers of many magnitudes."""
    random = torch.Generator().manual_seed(n)
    x = 10 ** (torch.rand(n, generator=random) * -spread)
    return x * torch.where(torch.rand(n, generator=random) < 0.5, -1.0, 1.0) if signed else x


@pytest.mark.parametrize("kind", KINDS)
def test_rounding_is_unbiased(kind: str) -> None:
    """The mean over many seeds is the number itself: no element strays by six standard errors, nor all of them by four."""
    x, count = _wide(512, kind != "q8u"), 2000
    drawn = torch.stack([_stored(kind, x, seed=1024 * k) for k in range(count)]).double()
    error, spread = drawn.mean(0) - x.double(), drawn.std(0)
    exact = spread == 0
    assert torch.equal(drawn.mean(0)[exact].float(), x[exact]) or float(error[exact].abs().max()) < 1e-12
    z = error[~exact] / (spread[~exact] / count**0.5)
    assert len(z) > 400
    assert float(z.abs().max()) < 6
    assert abs(float(z.mean())) * len(z) ** 0.5 < 4


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_rounding_is_bounded(kind: str, data: st.DataObject) -> None:
    """Off by less than the distance of two neighbours: an eighth (bfloat16: 1/128), or the smallest number of the block."""
    low = 0.0 if kind == "q8u" else -1e6
    x = torch.tensor(data.draw(st.lists(st.floats(low, 1e6, width=32), min_size=1, max_size=600)))
    error = (_stored(kind, x) - x).abs()
    if kind == "bf16":
        assert bool((error <= x.abs() / 128 + torch.finfo(torch.float32).tiny).all())
        return
    top = torch.stack([b.abs().max() for b in x.split(codec.BLOCK)]).repeat_interleave(codec.BLOCK)[: len(x)]
    smallest = top * 2.0 ** (-15 if kind == "q8s" else -31)
    assert bool((error <= torch.maximum(x.abs() / 8, smallest) * 1.01 + 1e-37).all())


@pytest.mark.parametrize("kind", KINDS)
def test_zero_and_the_largest_are_exact(kind: str) -> None:
    x = _wide(512, kind != "q8u")
    x[::7] = 0.0
    y = _stored(kind, x)
    assert bool((y[::7] == 0).all())
    if kind != "bf16":
        for k in (0, codec.BLOCK):
            most = x[k : k + codec.BLOCK].abs().argmax() + k
            assert y[most] == x[most]
    assert not _stored(kind, torch.zeros(5)).any()


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_round_as_the_whole(kind: str) -> None:
    """Random bits belong to elements: encoding in two pieces leaves the codes of encoding at once."""
    x, n = _wide(1000, kind != "q8u"), 512
    whole, parts = _room(kind, 1000), _room(kind, 1000)
    codec.encode(kind, x, whole, 0, 5, 1024)
    for a, b in ((0, n), (n, 1000)):
        piece = (parts[0][a:b], *(s[a // codec.BLOCK : -(-b // codec.BLOCK)] for s in parts[1:]))
        codec.encode(kind, x[a:b], piece, a, 5, 1024)
    assert all(torch.equal(u, v) for u, v in zip(whole, parts, strict=True))
    other = _room(kind, 1000)
    codec.encode(kind, x, other, 0, 6, 1024)
    assert not torch.equal(whole[0], other[0])


def test_bfloat16_keeps_what_is_no_number() -> None:
    bad = torch.tensor([float("inf"), -float("inf"), float("nan")])
    assert torch.equal(_stored("bf16", bad)[:2], bad[:2])
    assert bool(_stored("bf16", bad)[2].isnan())


@pytest.mark.parametrize("name", ["bfloat16", "int8"])
@pytest.mark.parametrize("n", [1, 255, 257, 4097, 9000])
def test_printed_and_eager_codes_are_the_same_bits(name: Codec, n: int) -> None:
    """A signed and an unsigned state of many magnitudes, tiny and zero values among them, through both lifts."""
    g = _wide(n, signed=True, spread=12.0)
    g[::5] = 0.0
    if n > 3:
        g[1], g[2] = 1e-42, -3e-39
    kept = []
    lifts: tuple[Lift, ...] = ("eager", "native")
    for lift in lifts:
        p = nn.Parameter(torch.zeros(n))
        opt = steepest.Adam([p], lr=0.0, codec=name, lift=lift)
        for t in range(3):
            p.grad = g * (t + 1)
            opt.step()
        kept.append(opt.state[p])
    assert all(torch.equal(kept[0][k], kept[1][k]) for k in kept[0] if isinstance(kept[0][k], Tensor))
    assert kept[0].keys() == kept[1].keys()
