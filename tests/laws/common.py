"""What laws are drawn from: few, small, reproducible examples, and a run with prescribed gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import steepest
from steepest.direction import Direction

#: a dozen drawn examples, the same in every run: a law that holds by luck is found once and for all
few = settings(max_examples=12, deadline=None, derandomize=True, database=None,
               suppress_health_check=[HealthCheck.too_slow])  # fmt: skip

#: ordinary numbers, zero among them; multiples of 1/8, so that many sums and products are exact
numbers = st.integers(-64, 64).map(lambda k: k / 8)
positive = st.integers(1, 64).map(lambda k: k / 8)
betas = st.sampled_from([0.0, 0.25, 0.5, 0.9, 0.99])


def tensor(values: Any, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.tensor(values, dtype=dtype)


@st.composite
def vectors(draw: st.DrawFn, n: int | None = None, least: int = 1, most: int = 6, elements: Any = numbers) -> Tensor:
    """A float64 vector."""
    size = n or draw(st.integers(least, most))
    return tensor(draw(st.lists(elements, min_size=size, max_size=size)))


@st.composite
def streams(draw: st.DrawFn, length: int = 4, most: int = 6, elements: Any = numbers) -> list[Tensor]:
    """Gradients of several steps, all of one size."""
    n = draw(st.integers(1, most))
    return [draw(vectors(n, elements=elements)) for _ in range(length)]


def matrices(rows: int, columns: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """A matrix of standard normal numbers."""
    return torch.randn(rows, columns, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def walk(
    make: Callable[..., Any], gradients: Sequence[Tensor], start: Tensor | None = None, **options: Any
) -> list[Tensor]:
    """The points after each step from ``start`` (zeros) when these are the gradients, wherever they are asked."""
    x = nn.Parameter(torch.zeros_like(gradients[0]) if start is None else start.clone())
    opt, points = make([x], **{"lift": "eager", **options}), []
    for g in gradients:
        opt.step(lambda g=g: (g * x).sum() + 100.0)
        points.append(x.detach().clone())
    return points


def directions(direction: Direction, gradients: Sequence[Tensor]) -> list[Tensor]:
    """What a direction part answers, to the bit: each step is a move from zero with a learning rate of 1."""
    x, found = nn.Parameter(torch.zeros_like(gradients[0])), []
    opt = steepest.Optimizer([x], direction=direction, lr=1.0, lift="eager")
    for g in gradients:
        x.grad = g.clone()
        opt.step()
        found.append(0.0 - x.detach())
        x.data.zero_()
    return found


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    """To the bit."""
    return all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


def close(a: list[Tensor], b: list[Tensor], rtol: float = 1e-12) -> bool:
    return all(torch.allclose(p, q, rtol=rtol, atol=1e-14) for p, q in zip(a, b, strict=True))


def over_sgd(where: steepest.point.Point) -> Callable[..., steepest.Optimizer]:
    """A point over plain SGD."""
    return lambda params, **options: steepest.Optimizer(params, point=where, **{"lr": 0.1, **options})
