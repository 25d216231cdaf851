"""Adafactor, SM3 and NovoGrad: what they keep, what they become at an edge, and what the oracle cannot say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import steepest
from steepest import direction as D


@pytest.mark.parametrize("name", ["Adafactor", "SM3", "NovoGrad"])
def test_the_table_has_the_bytes_of_a_matrix(name: str) -> None:
    """As they are found in the state of a matrix of 1024 x 1024."""
    p = nn.Parameter(torch.zeros(1024, 1024))
    p.grad = torch.ones_like(p)
    opt = steepest.create(name, [p])
    opt.step()
    found = sum(v.numel() * v.element_size() for v in opt.state[p].values() if isinstance(v, Tensor))
    assert steepest.methods[name].state_bytes == round(found / p.numel(), 3)


def run(
    make: type[torch.optim.Optimizer], shapes: list[tuple[int, ...]], steps: int = 25, **options: Any
) -> list[Tensor]:
    """Weights in float64 after some steps on quartics."""
    random = torch.Generator().manual_seed(0)
    params = [nn.Parameter(torch.randn(shape, generator=random, dtype=torch.float64)) for shape in shapes]
    a = [torch.rand(shape, generator=random, dtype=torch.float64) for shape in shapes]
    opt = make(params, **options)
    for t in range(steps):
        opt.zero_grad()
        torch.stack([(w * (p - t % 3) ** 4).sum() for w, p in zip(a, params, strict=True)]).sum().backward()
        opt.step()
    return [p.detach() for p in params]


SHAPES: list[tuple[int, ...]] = [(5, 3), (4,), (2, 3, 4), (1, 6)]


@pytest.mark.parametrize("options", [{}, {"lr": 0.3, "weight_decay": 0.1}])
def test_adafactor_is_torchs_but_for_the_floor(options: dict[str, Any]) -> None:
    """torch has no ε₁ in the squares and a floor of √V instead: neither is felt by gradients of usual size."""
    ours = run(steepest.Adafactor, SHAPES, **options)
    theirs = run(torch.optim.Adafactor, SHAPES, eps=(1e-15, 1e-3), **options)
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-12)


def test_adafactor_has_all_of_a_second_moment_of_rank_one() -> None:
    """A matrix whose squared gradient is an outer product goes as its elements would one after another in a vector."""
    g = torch.outer(torch.tensor([1.0, -2.0, 3.0]), torch.tensor([0.5, 1.0, -1.5, 2.0])).double()
    ends = []
    for shape in ((3, 4), (12,)):
        p = nn.Parameter(torch.ones(shape, dtype=torch.float64))
        opt = steepest.Adafactor([p])
        for t in range(5):
            p.grad = g.view(shape) * (t + 1)
            opt.step()
        ends.append(p.detach().view(-1))
    assert torch.allclose(ends[0], ends[1], rtol=1e-12)


def test_sm3_of_vectors_is_adagrad() -> None:
    """Each element is a set of its own."""
    assert all(map(torch.equal, run(steepest.SM3, [(7,), (1,)]), run(steepest.AdaGrad, [(7,), (1,)], lr=0.1, eps=0.0)))


def test_sm3_bounds_adagrad_from_above() -> None:
    """Claim 2 of the paper: ν is at least the sum of squares, so no step is longer than AdaGrad's."""
    random, s = torch.Generator().manual_seed(0), SimpleNamespace(mu=torch.zeros(9))
    total, part = torch.zeros(4, 5), D.SM3()
    for _ in range(20):
        g = torch.randn(4, 5, generator=random)
        total += g * g
        d, new = part(g, g, s, SimpleNamespace())
        s.mu = new["mu"]
        assert ((g / d) ** 2 >= total * (1 - 1e-5)).all()
    assert (s.mu[:4, None] >= total - 1e-4).all()
    assert (s.mu[None, 4:] >= total - 1e-4).all()


@pytest.mark.parametrize("power", [-12, 12])
def test_novograd_does_not_feel_the_scale_of_a_tensors_gradient(power: int) -> None:
    """To the bit for powers of two, without ε; each tensor for itself."""
    ends = []
    for scale in (1.0, 2.0**power):
        a, b = (nn.Parameter(torch.linspace(-1, 1, 12).view(3, 4)) for _ in range(2))
        opt = steepest.NovoGrad([a, b], eps=0.0)
        for t in range(4):
            a.grad, b.grad = (torch.arange(12.0).view(3, 4) - t) * scale, torch.ones(3, 4)
            opt.step()
        ends.append((a.detach(), b.detach()))
    assert all(map(torch.equal, *ends))
