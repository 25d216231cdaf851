"""What authors do otherwise: PoNoS as published, with the face of our optimizers, and SLS with a first step of its own.

The file is `PoNoS.py` of github.com/leonardogalli91/PoNoS; `STEEPEST_PONOS` says where it lies.  It is run, not copied.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

from torch import Tensor


def at_hand() -> bool:
    """Whether the authors' file was given."""
    return bool(os.environ.get("STEEPEST_PONOS"))


def begun(opt: Any, eta: float) -> Any:
    """An SLS whose first trial is near η, not its bound."""
    opt.param_groups[0]["eta_prev"] = eta
    return opt


class Authors:
    """The authors' optimizer; what it buys is counted by counting questions."""

    def __init__(self, params: Iterable[Tensor], eta_max: float) -> None:
        self.params = list(params)
        spec = importlib.util.spec_from_file_location("authors_ponos", os.environ["STEEPEST_PONOS"])
        if spec is None or spec.loader is None:
            raise ImportError(f"STEEPEST_PONOS must name PoNoS.py, got {os.environ['STEEPEST_PONOS']!r}")
        module: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.inner = module.PoNoS(self.params, max_eta=eta_max)
        self.param_groups = [{"shortened": 0.0}]
        self.counters = SimpleNamespace(steps=0, forwards=0, backwards=0)

    def step(self, closure: Callable[[], Tensor]) -> Tensor:
        """One step; of its questions the first is for the gradient and the last was accepted."""
        asked = 0

        def counted() -> Tensor:
            nonlocal asked
            asked += 1
            return closure()

        for p in self.params:
            p.grad = None
        loss: Tensor = self.inner.step(counted).detach()
        self.param_groups[0]["shortened"] = float(asked - 2)
        self.counters.steps, self.counters.backwards = self.counters.steps + 1, self.counters.backwards + 1
        self.counters.forwards += asked
        return loss
