"""``WithClosure`` before a stand-in for Hugging Face's Trainer: the weights and losses of a plain loop, to the bit.

The stand-in does what matters of the Trainer's loop (``training_step`` with its own backward, clipping, then
``optimizer.step()`` without a closure), so these run without transformers.
"""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import steepest

STEPS, PARTS = 6, 2
ONCE, AGAIN = ("AdamW", "Auto", "DoG"), ("SAM", "ExtraAdam", "UDoG", "GAM", "SMB", "SLS", "PoNoS", "MeZO")
ELSEWHERE = ("UDoG", "MeZO")  # ask their first question away from the weights


def net() -> nn.Sequential:
    """With dropout and batch normalisation."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.1), nn.Linear(8, 3))


def rows() -> tuple[Tensor, Tensor]:
    """Micro-batches."""
    generator = torch.Generator().manual_seed(1)
    n = STEPS * PARTS
    return torch.randn(n, 4, 5, generator=generator), torch.randint(0, 3, (n, 4), generator=generator)


class Accelerator:
    """Clips and goes backward."""

    scaler = None

    def backward(self, loss: Tensor) -> None:
        loss.backward()

    def no_sync(self, model: nn.Module) -> Any:
        return contextlib.nullcontext()


class Arguments:
    """No clipping."""

    max_grad_norm = 0.0


class Trainer:
    """A loop that goes forward and backward itself."""

    def __init__(self, model: nn.Module, optimizer: Any) -> None:
        self.model, self.optimizer, self.accelerator, self.args = model, optimizer, Accelerator(), Arguments()

    def training_step(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        loss = nn.functional.cross_entropy(model(x), y) / PARTS
        self.accelerator.backward(loss)
        return loss.detach()

    def train(self) -> None:
        torch.manual_seed(2)
        for k, (x, y) in enumerate(zip(*rows(), strict=True)):
            self.training_step(self.model, x, y)
            if k % PARTS == PARTS - 1:
                self.optimizer.step()
                self.optimizer.zero_grad()


class Asking(steepest.trainers.WithClosure, Trainer):
    """Passes a closure on."""


def plain(name: str) -> nn.Module:
    """The loop that anybody would write."""
    model, (x, y) = net(), rows()
    opt = steepest.methods[name].make(model.parameters())
    torch.manual_seed(2)
    for k in range(0, STEPS * PARTS, PARTS):

        def closure(k: int = k) -> Tensor:
            opt.zero_grad()
            whole = torch.zeros(())
            for j in range(k, k + PARTS):
                loss = nn.functional.cross_entropy(model(x[j]), y[j]) / PARTS
                loss.backward()
                whole += loss.detach()
            return whole

        opt.step(closure)
    return model


@pytest.mark.parametrize("name", [*ONCE, *AGAIN])
def test_a_trainer_is_a_plain_loop(name: str) -> None:
    """Also for methods that move the weights before they ask the first time: the Trainer's gradient is not added to."""
    model = net()
    trainer: Any = Asking(model, steepest.methods[name].make(model.parameters()))
    trainer.train()
    right = plain(name).state_dict()
    for key, value in model.state_dict().items():
        if "running" in key and name in ELSEWHERE:  # the Trainer's own forward, at the weights, has moved them
            continue
        assert torch.equal(value, right[key]), key


def test_the_former_name_is_the_same_class() -> None:
    """Code written for the last version goes on."""
    assert steepest.trainers.AsksAgain is steepest.trainers.WithClosure
