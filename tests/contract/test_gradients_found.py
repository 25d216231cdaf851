"""Gradients that a closure finds, weights that are frozen, scalers that are switched off."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn

import steepest
from tests.contract.test_closure import AGAIN, make, small, square


@pytest.mark.parametrize("between", [True, False], ids=["zeroed", "left"])
def test_styles_may_change_between_steps(between: bool) -> None:
    """After a plain closure, one in torch's style adds to what is there, as with torch's optimizer."""
    ends = []
    for kind, plain in ((torch.optim.SGD, False), (steepest.SGD, True)):
        p = nn.Parameter(torch.ones(2))
        opt: Any = kind([p], lr=0.1)

        def first(p: Tensor = p, opt: Any = opt, plain: bool = plain) -> Tensor:
            loss = p.square().sum()
            if not plain:
                opt.zero_grad()
                loss.backward()
            return loss

        def last(p: Tensor = p) -> Tensor:
            loss = (p - 1).square().sum()
            loss.backward()
            return loss

        for _ in range(2):
            opt.step(first)
            if between:
                opt.zero_grad()
            (p - 2).square().sum().backward()
            opt.step(last)
        ends.append(p.detach())
    torch.testing.assert_close(*ends)


@pytest.mark.parametrize("name", AGAIN)
def test_frozen_weights_are_not_copied(name: str) -> None:
    """From the start or from the third step on: not copied, not moved."""
    p, frozen, later = (
        nn.Parameter(torch.ones(3)),
        nn.Parameter(torch.zeros(1000), False),
        nn.Parameter(torch.ones(999)),
    )
    opt, copies, clone = make(name, [p, frozen, later]), list[int](), Tensor.clone

    def counting(self: Tensor, **more: Any) -> Tensor:
        copies.append(self.numel())
        return clone(self, **more)

    def closure() -> Tensor:
        return (p - 3).square().sum() + later.square().sum() / 100

    opt.step(closure)
    opt.step(closure)
    later.requires_grad_(False).grad = None
    kept = later.detach().clone()
    with patch.object(Tensor, "clone", counting):
        for _ in range(3):
            opt.step(closure)
    assert not {1000, 999} & {*copies}
    assert torch.equal(later, kept)
    assert not frozen.any()


def test_a_frozen_weight_has_its_average() -> None:
    """Inside ``averaged`` it is what was averaged while it moved, and outside what it was."""
    p = nn.Parameter(torch.ones(3))
    opt = steepest.SGD([p], lr=0.1, point=steepest.point.Average())
    for _ in range(3):
        opt.step(lambda: p.square().sum())
    with opt.averaged():
        mean = p.detach().clone()
    p.requires_grad_(False).grad = None
    kept = p.detach().clone()
    assert not torch.equal(mean, kept)
    with opt.averaged():
        assert torch.equal(p, mean)
    assert torch.equal(p, kept)


@pytest.mark.parametrize("name", ["AdamW", *AGAIN])
def test_a_disabled_scaler_is_none(name: str) -> None:
    """``GradScaler(enabled=False)`` changes nothing, also for methods that take no scaler."""
    ends = []
    for scaler in (None, torch.amp.GradScaler("cpu", enabled=False)):
        model = small()
        opt = make(name, model.parameters())
        for _ in range(2):
            opt.step(square(model), scaler=scaler)
        ends.append([p.detach() for p in model.parameters()])
    for a, b in zip(*ends, strict=True):
        assert torch.equal(a, b)
