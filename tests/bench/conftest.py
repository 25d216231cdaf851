"""What the tests of the bench share: a tiny workload in a file of its own, and a few small fake methods."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import steepest

TINY = '''
"""A linear model on made-up data, with dropout so that random numbers matter."""
import os, time
import torch
from steepest.bench import Problem, minibatches

def problem(seed):
    "tiny regression"
    x = torch.randn(128, 6, generator=torch.Generator().manual_seed(0))
    y = x.sum(1, keepdim=True)
    pause = float(os.environ.get("TINY_PAUSE", "0"))
    def loss(model, batch):
        time.sleep(pause)
        return (model(batch[0]) - batch[1]).square().mean()
    return Problem(
        torch.nn.Sequential(torch.nn.Dropout(0.1), torch.nn.Linear(6, 1)),
        loss,
        minibatches((x, y), 16, seed),
        lambda model: {"loss": (model(x) - y).square().mean().item()},
        budget=120,
        target=4.0,
    )
'''


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A current folder with the workload in `tiny_workload.py`; gives its name."""
    (tmp_path / "tiny_workload.py").write_text(textwrap.dedent(TINY))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "tiny_workload:problem"
    import sys

    sys.modules.pop("tiny_workload", None)


class Counted(torch.optim.SGD):
    """SGD in the style of the library: it calls backward itself, `asks` times, and counts."""

    asks = 1

    def __init__(self, params: Any, lr: float = 0.05) -> None:
        super().__init__(params, lr=lr)
        self.counters = SimpleNamespace(gradient_equivalents=0)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        assert closure is not None
        for _ in range(self.asks):
            self.zero_grad()
            with torch.enable_grad():
                loss = closure()
            loss.backward()
            self.counters.gradient_equivalents += 3
        super().step()
        return loss


class Twice(Counted):
    """Two gradients a step."""

    asks = 2


class Broken(Counted):
    """Raises."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        raise ValueError("needs per-example gradients")


@pytest.fixture
def methods(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A small registry in the place of the library's."""
    registry = {
        cls.__name__: SimpleNamespace(
            name=cls.__name__, make=cls, area="baseline", summary="a fake", state_bytes=0.0, forwards=cls.asks,
            backwards=cls.asks, closure=cls.asks > 1, cite=("key",), claims=("claim",),
            space={"lr": ("log", 1e-3, 1.0)},
        )
        for cls in (Counted, Twice, Broken)
    }  # fmt: skip
    monkeypatch.setattr(steepest, "methods", registry, raising=False)
    return registry
