"""What other people's training loops are compared with: the loop that anybody would write."""

from __future__ import annotations

import importlib
from functools import partial
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import steepest

CLOSURE = ("SAM", "PoNoS", "SLS", "ExtraAdam", "SPS", "MeZO")
SMALL: dict[str, dict[str, Any]] = {
    "AdamW": {"lr": 1e-2}, "SAM": {"lr": 0.05}, "ExtraAdam": {"lr": 1e-2}, "MeZO": {"lr": 1e-2},
    "PoNoS": {}, "SLS": {"eta_max": 2.0}, "SPS": {"eta_max": 1.0}, "DAdaptAdam": {"d0": 1e-3},
    "GaLore": {"rank": 2, "every": 3}, "Auto": {},
}  # fmt: skip
STEPS = 8


def package(name: str) -> ModuleType:
    """A package, or a skipped test; transformers has no Trainer without accelerate."""
    for needed in (name, *(["accelerate"] if name == "transformers" else [])):
        pytest.importorskip(needed, reason=f"{needed} is not installed")
    return importlib.import_module(name)


def make(name: str, model: nn.Module, **more: Any) -> steepest.Optimizer:
    """A method with small settings."""
    return steepest.methods[name].make(model.parameters(), **SMALL.get(name, {}) | more)


def net() -> nn.Module:
    """The same small network every time, dropout included."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Dropout(0.1), nn.Linear(8, 3))


def rows() -> tuple[Tensor, Tensor]:
    """A batch of four for each step."""
    random = torch.Generator().manual_seed(1)
    return torch.randn(STEPS, 4, 5, generator=random), torch.randint(0, 3, (STEPS, 4), generator=random)


def loss_of(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """What is trained."""
    return nn.functional.cross_entropy(model(x), y)


def plain(name: str, **more: Any) -> tuple[list[float], list[Tensor]]:
    """Losses and weights of the loop that anybody would write."""
    model = net()
    opt, losses = make(name, model, **more), []
    torch.manual_seed(2)
    for x, y in zip(*rows(), strict=True):
        losses.append(float(opt.step(partial(loss_of, model, x, y))))
    return losses, [p.detach().clone() for p in model.parameters()]


def in_windows(
    name: str, dtype: torch.dtype = torch.float32, window: int = 2, clip: float = 0.0, scaler: Any = None
) -> tuple[list[float], list[Tensor]]:
    """The same with micro-batches, each under autocast and with its own backward, and clipped, in the closure."""
    model, (x, y) = net(), rows()
    opt, losses = make(name, model), []
    torch.manual_seed(2)
    for k in range(0, STEPS, window):

        def closure(k: int = k) -> Tensor:
            opt.zero_grad()
            whole: Any = 0
            for j in range(k, k + window):
                with torch.autocast("cpu", dtype, enabled=dtype is not torch.float32):
                    loss = loss_of(model, x[j], y[j]) / window
                (loss if scaler is None else scaler.scale(loss)).backward()
                whole = whole + loss.detach()
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            return whole

        losses.append(float(opt.step(closure, scaler=scaler)))
        if scaler is not None:
            scaler.update()
    return losses, [p.detach().clone() for p in model.parameters()]


def same(found: tuple[list[float], list[Tensor]], right: tuple[list[float], list[Tensor]]) -> None:
    """Equal to the bit."""
    assert found[0] == right[0]
    assert all(torch.equal(a, b) for a, b in zip(found[1], right[1], strict=True))
