"""Contractive error feedback (Li et al. 2023, arXiv:2312.08538): what is remembered of what was not sent is compressed, too."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

import steepest
from steepest.channel import ConEF, CountSketch, FourBits, Memory
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Problem, Vector, join
from tests.rows import Row, Setting

SHARDS = "each process compresses its own shard, which keeps as much but not the same"
EXCEPTIONS = {"two_processes-fsdp": SHARDS, "two_processes-resumed": SHARDS, "two_processes-spoiled": SHARDS}

CONTRACT = {
    "ConEF": Setting(
        {"lr": 0.1, "keep": 0.3, "memory": CountSketch(per=2)},
        state_bytes=0.0,  # of the vector on which it is counted
        shaped="the memory follows the rows of a matrix, and vectors are sent whole",
        exceptions=EXCEPTIONS,
    ),
}


def projection(n: int, per: int) -> Vector:
    """Q of a row of n entries as a dense matrix: onto the span of the buckets' vectors of signs; the hashes as drawn."""
    h, sign = CountSketch(per=per).hashed(n, torch.device("cpu"))
    A = np.zeros((math.ceil(n / per), n))
    A[h.numpy(), np.arange(n)] = sign.numpy()
    return np.asarray(np.linalg.pinv(A) @ A)


def sketched(v: Vector, t: int, per: int) -> Vector:
    return np.asarray(v @ projection(v.shape[1], per))


def four_bits(v: Vector, t: int) -> Vector:
    """Levels k max|block|/7, k = -7..7, rounded up with the probability that makes the mean right; 64 entries a block."""
    from steepest.engine.codec import bits

    u = bits(v.size, 0, t, v.shape[1], torch.device("cpu")).double().numpy().reshape(v.shape) / 2**32
    out = np.zeros_like(v)
    for r, row in enumerate(v):
        for b in range(0, len(row), 64):
            part = row[b : b + 64]
            unit = np.abs(part).max() / 7
            if unit > 0:
                low = np.floor(part / unit)
                out[r, b : b + 64] = unit * (low + (u[r, b : b + 64] >= 1 - (part / unit - low)))
    return out


def contractive(f: Problem, x: Vector, etas: Rates, keep: float, Q: Any) -> Path:
    """p = g + e, δ = C(p), x ← x - ηδ, e ← Q(p - δ); C keeps a block that goes on at the beginning."""
    e: dict[int, Vector] = {}
    for t, eta in enumerate(etas):
        sent = []
        for i, g in enumerate(f.parts(f.grad(x, t + 1))):
            if g.ndim < 2:
                sent.append(g)
                continue
            p = g + e.get(i, 0.0)
            k = max(1, round(keep * p.size))
            start = int(ConEF.compress(p.size, keep, t)[0])
            kept = np.zeros(p.size)
            for j in range(start, start + k):
                kept[j % p.size] = p.reshape(-1)[j % p.size]
            delta = kept.reshape(p.shape)
            e[i] = Q(p - delta, t)
            sent.append(delta)
        x = x - eta * join(sent)
        yield x


def by_sketch(f: Problem, x: Vector, etas: Rates, keep: float, per: int) -> Path:
    return contractive(f, x, etas, keep, lambda v, t: sketched(v, t, per))


def by_bits(f: Problem, x: Vector, etas: Rates, keep: float) -> Path:
    return contractive(f, x, etas, keep, four_bits)


def with_bits(params: Any, lr: float = 0.1, keep: float = 0.1, **options: Any) -> steepest.Optimizer:
    return steepest.ConEF(params, lr=lr, keep=keep, memory=FourBits(), **options)


def with_sketch(params: Any, lr: float = 0.1, keep: float = 0.1, per: int = 5, **options: Any) -> steepest.Optimizer:
    return steepest.ConEF(params, lr=lr, keep=keep, memory=CountSketch(per=per), **options)


ORACLE = [
    Row(with_sketch, by_sketch, {"keep": 0.3, "per": 2}, {"keep": 0.3, "per": 2}),
    Row(with_bits, by_bits, {"keep": 0.2}, {"keep": 0.2}),
]

SAME = {
    "random blocks of everything are everything": (
        lambda p: steepest.ConEF(p, keep=1.0),
        lambda p: steepest.SGD(p, lr=0.01),
    ),
}


def test_by_hand() -> None:
    """One row of two columns and one bucket: Q(v) = σ mean(σ v); the first block is one entry, the other is remembered."""
    x = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    opt = steepest.ConEF([x], lr=1.0, keep=0.5, memory=CountSketch(per=2))
    (_, sign), first, second = CountSketch(per=2).hashed(2, x.device), *(int(ConEF.compress(2, 0.5, t)) for t in (0, 1))
    x.grad = torch.tensor([[3.0, 5.0]], dtype=torch.float64)
    opt.step()
    want = torch.zeros(2, dtype=torch.float64)
    want[first] = -x.grad[0, first]
    assert torch.equal(x.detach()[0], want)
    left = float(x.grad[0, 1 - first] * sign[1 - first]) / 2
    assert opt.state[x]["sketch"].tolist() == [[left]]
    x.grad = torch.tensor([[1.0, 1.0]], dtype=torch.float64)
    opt.step()
    want[second] -= 1 + sign[second] * left
    assert torch.allclose(x.detach()[0], want, atol=1e-15)


@pytest.mark.parametrize("memory", [CountSketch(per=5), CountSketch(per=1), FourBits()], ids=repr)
@pytest.mark.parametrize("shape", [(4, 130), (3, 1), (0, 5), (5, 0), (2, 3, 7)], ids=str)
def test_memories_keep_the_shape_they_declare(memory: Memory, shape: tuple[int, ...]) -> None:
    """Also for empty matrices; what is kept is as declared, and one number a column forgets nothing but collisions."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    v = x.reshape(shape[0], math.prod(shape[1:]))
    s: dict[str, Any] = {}
    memory.write(v, s, 3)
    assert {n: tuple(t.shape) for n, t in s.items()} == {n: k.shape for n, k in memory.kept(x).items()}
    assert memory.read(s, v).shape == v.shape


def test_the_sketch_is_a_projection_and_four_bits_are_unbiased() -> None:
    v = torch.randn(6, 150, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    s: dict[str, Any] = {}
    once, twice = v, v
    sketch, bits4 = CountSketch(per=5), FourBits()
    sketch.write(v, s, 0)
    once = sketch.read(s, v)
    sketch.write(once, s, 1)
    twice = sketch.read(s, v)
    assert torch.allclose(once, twice, atol=1e-14)
    assert abs(float(((v - once) * once).sum())) < 1e-10
    mean = torch.zeros_like(v)
    for t in range(2_000):
        bits4.write(v, s, t)
        mean += bits4.read(s, v) / 2_000
    unit = v.abs().max() / 7
    assert (mean - v).abs().max() < 5 * unit / 2 / 2_000**0.5  # five standard deviations of at most half a level
    assert (bits4.read(s, v) - v).abs().max() <= unit


@pytest.mark.parametrize(("memory", "part"), [(CountSketch(per=5), 0.2), (FourBits(), 0.145)], ids=repr)
def test_the_memory_is_as_small_as_it_is_said_to_be(memory: Memory, part: float) -> None:
    """Bytes beside those of error feedback in full precision, which has four a weight."""
    x = torch.nn.Parameter(torch.ones(20, 320))
    opt = steepest.ConEF([x], memory=memory)
    opt.step(lambda: x.square().sum())
    bytes_ = sum(v.numel() * v.element_size() for v in opt.state[x].values() if isinstance(v, torch.Tensor))
    assert bytes_ <= part * 4 * x.numel()


@pytest.mark.parametrize("memory", [CountSketch(per=3), FourBits()], ids=repr)
def test_it_resumes_to_the_bit(memory: Memory, tmp_path: Any) -> None:
    def begin() -> tuple[torch.nn.Parameter, steepest.Optimizer]:
        x = torch.nn.Parameter(torch.linspace(-1, 1, 77).view(7, 11))
        return x, steepest.ConEF([x], lr=0.1, memory=memory)

    def go(x: torch.nn.Parameter, opt: steepest.Optimizer, steps: int) -> None:
        for _ in range(steps):
            opt.step(lambda: (x**2).sum() + x.sin().sum())

    (x, opt), (y, other) = begin(), begin()
    go(x, opt, 5)
    torch.save({"x": x.detach(), "opt": opt.state_dict()}, tmp_path / "file")
    saved = torch.load(tmp_path / "file", weights_only=True)
    with torch.no_grad():
        y.copy_(saved["x"])
    other.load_state_dict(saved["opt"])
    go(x, opt, 5)
    go(y, other, 5)
    assert torch.equal(x, y)
    assert all(torch.equal(v, other.state[y][n]) and v.dtype == other.state[y][n].dtype
               for n, v in opt.state[x].items() if isinstance(v, torch.Tensor))  # fmt: skip


def test_a_channel_that_sends_two_types_is_refused() -> None:
    """The printed loop would read the numbers of one as those of the other."""

    class Mixed(steepest.channel.Channel):
        def send(self, g: torch.Tensor, s: dict[str, Any], h: Any) -> torch.Tensor:
            return g if g.dim() < 2 else g.float()

    model = torch.nn.Linear(3, 2, dtype=torch.bfloat16)
    opt = steepest.Optimizer(model.parameters(), lr=0.1, channel=Mixed())
    with pytest.raises(TypeError, match="Mixed must send one type"):
        opt.step(lambda: model(torch.ones(1, 3, dtype=torch.bfloat16)).float().sum())
