"""What does a precise search cost?  Time of a step relative to a fixed step, for growing inputs.

    python benchmarks/subspace.py [--rounds N] [--out docs/results/subspace.json]

2,000 rows, two hidden layers of 20 and 5 tanh, inputs of growing width d.  A fixed step is a forward and a backward of the
model and one update by torch's SGD.  All take turns in one process; numbers are medians over rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import steepest

ROWS, WIDTHS = 2000, (1000, 4000, 16000, 32000)
WARM = 5  # steps before the clock starts


def network(d: int) -> nn.Sequential:
    """Two hidden layers."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(d, 20), nn.Tanh(), nn.Linear(20, 5), nn.Tanh(), nn.Linear(5, 1))


def fixed(X: Tensor, y: Tensor) -> Callable[[], Any]:
    """A fixed step."""
    model = network(X.shape[1])
    opt = torch.optim.SGD(model.parameters(), lr=1e-2)

    def step() -> None:
        opt.zero_grad()
        F.mse_loss(model(X), y).backward()
        opt.step()

    return step


def seconds(step: Callable[[], Any]) -> float:
    """One step."""
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def race(d: int, rounds: int) -> dict[str, Any]:
    """Medians for one width."""
    torch.manual_seed(1)
    X = torch.randn(ROWS, d)
    y = torch.sin(2 * X @ torch.randn(d, 1) / d**0.5)
    modes = ("line", "plane", "layerwise")
    opts = {mode: steepest.solve.SubspaceOptimizer(network(d), X, y, F.mse_loss, mode=mode) for mode in modes}
    steps: dict[str, Callable[[], Any]] = {"fixed": fixed(X, y), **{mode: opt.step for mode, opt in opts.items()}}
    for step in steps.values():
        for _ in range(WARM):
            step()
    bought = {mode: opt.trials for mode, opt in opts.items()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            times[name].append(seconds(step))
    ratio = {m: statistics.median(a / b for a, b in zip(times[m], times["fixed"], strict=True)) for m in modes}
    return {"fixed_ms": statistics.median(times["fixed"]) * 1e3, "ratio": ratio,
            "trials": {m: (opts[m].trials - bought[m]) / rounds for m in modes}}  # fmt: skip


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--out", type=Path, default=Path("docs/results/subspace.json"))
    asked = parser.parse_args()
    rows = {}
    for d in WIDTHS:
        rows[str(d)] = race(d, asked.rounds)
        print(d, json.dumps(rows[str(d)]), flush=True)
    machine = {"cores": os.cpu_count(), "threads": torch.get_num_threads(), "torch": torch.__version__,
               "python": platform.python_version(), "processor": platform.machine()}  # fmt: skip
    asked.out.write_text(json.dumps({"rows": rows, "rounds": asked.rounds, "machine": machine}, indent=1) + "\n")


if __name__ == "__main__":
    main()
