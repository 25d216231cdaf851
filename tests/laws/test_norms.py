"""Norms that a direction may take of a whole tensor: those of torch, under every lift, at no more passes than a sum needs."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import steepest
from steepest.core.matrix import schatten_norm
from steepest.core.norms import norm
from steepest.core.part import Direction, NewState, Scalars


class Unit(Direction):
    """g over its p-norm."""

    p = 3.0

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        return g / norm(g, self.p), {}


class Nuclear(Unit):
    """g over the sum of its singular values."""

    p = 1.0
    pointwise = False

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        return g / schatten_norm(g, self.p), {}


P = (0.5, 1.0, 2.0, 3.0, math.inf)


@pytest.mark.parametrize("p", P)
@pytest.mark.parametrize("shape", [(), (7,), (3, 4), (0,)])
def test_norms_are_torchs(p: float, shape: tuple[int, ...]) -> None:
    t = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    want = torch.linalg.vector_norm(t, p) if t.numel() else torch.zeros((), dtype=t.dtype)
    assert torch.allclose(norm(t, p), want, rtol=1e-14)


@pytest.mark.parametrize("lift", ["eager", "native"])
@pytest.mark.parametrize("p", P[:-1])
def test_every_lift_has_them(p: float, lift: Any) -> None:
    """A finite p is printed: the loop takes one more pass, for the sum."""
    x = nn.Parameter(torch.linspace(-1, 2, 12).view(3, 4))
    part = Unit()
    part.p = p
    opt = steepest.Optimizer([x], lr=1.0, direction=part, lift=lift)
    g = torch.linspace(1, -3, 12).view(3, 4)
    want = x.detach() - g / torch.linalg.vector_norm(g, p)
    x.grad = g
    opt.step()
    assert torch.allclose(x.detach(), want, rtol=1e-6)
    if lift == "native":
        (kernel,) = opt.kernels.values()
        assert len(kernel.native.passes) == 2  # type: ignore[attr-defined]


def test_a_matrix_goes_over_its_nuclear_norm() -> None:
    x = nn.Parameter(torch.zeros(3, 4))
    opt = steepest.Optimizer([x], lr=1.0, direction=Nuclear())
    x.grad = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    opt.step()
    assert torch.linalg.matrix_norm(x.detach(), "nuc") == pytest.approx(1.0, rel=1e-6)


def test_what_is_no_norm_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0, got -1"):
        norm(torch.ones(2), -1)
    with pytest.raises(ValueError, match=r"of a matrix, got a tensor of shape \(2,\)"):
        schatten_norm(torch.ones(2), 1)
