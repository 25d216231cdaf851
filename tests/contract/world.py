"""A world of sixty weights: matrices of both orientations, a vector and a number, and batches that are always the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

import steepest
from tests.contract.case import Case

BATCHES = 5


class Net(nn.Module):
    """tanh(x W₁ᵀ + b) γ W₂ᵀ with a number γ; optionally dropout and batch normalisation in between."""

    def __init__(self, noisy: bool = False, seed: int = 0) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(seed)
        self.wide = nn.Parameter(torch.randn(4, 5, generator=random) * 0.6)
        self.bias = nn.Parameter(torch.randn(4, generator=random) * 0.3)
        self.gain = nn.Parameter(torch.tensor(1.1))
        self.tall = nn.Parameter(torch.randn(7, 4, generator=random) * 0.6)
        self.middle = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(0.4)) if noisy else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.middle(torch.tanh(x @ self.wide.T + self.bias))
        return (hidden * self.gain) @ self.tall.T


class World:
    """A model and its batches; ``loss(t)`` is the loss on batch t."""

    def __init__(self, noisy: bool = False, dtype: torch.dtype = torch.float32, rows: int = 8) -> None:
        random = torch.Generator().manual_seed(1)
        self.model: nn.Module = Net(noisy).to(dtype)
        truth = Net(seed=2)
        x = torch.randn(BATCHES, rows, 5, generator=random)
        with torch.no_grad():
            self.x, self.y = x.to(dtype), (truth(x) + 0.1 * torch.randn(BATCHES, rows, 7, generator=random)).to(dtype)

    def params(self) -> list[nn.Parameter]:
        """The parameters, in order."""
        return list(self.model.parameters())

    def loss(self, t: int, rows: slice = slice(None)) -> Tensor:
        """Half the mean square error on batch t, or on some of its rows."""
        k = t % BATCHES
        loss: Tensor = (self.model(self.x[k, rows]) - self.y[k, rows]).square().mean() / 2
        return loss

    @torch.no_grad()
    def overall(self) -> float:
        """The loss on all batches."""
        return sum(float(self.loss(t)) for t in range(BATCHES)) / BATCHES

    def weights(self) -> list[Tensor]:
        """A copy of the parameters."""
        return [p.detach().clone() for p in self.model.parameters()]

    def load(self, weights: Iterable[Tensor]) -> None:
        """Set the parameters."""
        with torch.no_grad():
            for p, w in zip(self.params(), weights, strict=True):
                p.copy_(w)


def ask(case: Case, opt: torch.optim.Optimizer, loss: Callable[[], Tensor]) -> Any:
    """One step in the shortest style the method allows."""
    if case.closure:
        return opt.step(loss)  # type: ignore[arg-type]
    opt.zero_grad()
    value = loss()
    if value.requires_grad:
        value.backward()
    opt.step()
    return value.detach()


def walk(case: Case, world: World, opt: torch.optim.Optimizer, steps: Iterable[int] | int) -> list[Tensor]:
    """Some steps, numbered so that each has its batch; returns the weights."""
    for t in range(steps) if isinstance(steps, int) else steps:
        ask(case, opt, partial(world.loss, t))
    return world.weights()


def start(case: Case, **options: Any) -> tuple[World, steepest.Optimizer]:
    """A fresh world and an optimizer for it."""
    world = World()
    return world, case(world.params(), **options)


def in_parts(world: World, opt: torch.optim.Optimizer, t: int, parts: int) -> Tensor:
    """A closure in torch's style: zero_grad, then a backward for each part of the batch; returns the whole loss."""
    opt.zero_grad()
    total = torch.zeros(())
    for k in range(parts):
        loss = world.loss(t, slice(8 * k // parts, 8 * (k + 1) // parts)) / parts
        loss.backward()
        total += loss.detach()
    return total


class Bowl:
    """One tensor in a bowl: ½ Σ (a (x - b_t))², whose gradient is a² (x - b_t) whatever the shape."""

    def __init__(self, x: Tensor, seed: int = 0) -> None:
        random = torch.Generator().manual_seed(seed)
        self.x = x
        self.a = torch.rand(x.shape, generator=random) + 0.5
        self.b = torch.randn(5, *x.shape, generator=random) * 0.2

    def loss(self, t: int) -> Tensor:
        """The loss at step t."""
        rest = (self.x - self.b[t % 5].to(self.x.dtype)) * self.a.to(self.x.dtype)
        return (rest * rest).sum() / 2

    def mean(self, t: int) -> Tensor:
        """The loss per element."""
        return self.loss(t) / self.x.numel()
