"""What a step of Auto costs, forward and backward included, relative to one of torch's fused AdamW.

Byte-level transformers of two widths on one thread; the methods take turns in one process, and the numbers are medians of
ratios within a round.

    python benchmarks/auto_cost.py [--rounds 40] [--result docs/results/auto-cost.json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import steepest
from steepest.bench.workloads.text import Transformer

MODELS = {"64 wide, 8 rows": (64, 8), "256 wide, 16 rows": (256, 16)}
MAKES: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "torch.AdamW, fused": lambda p: torch.optim.AdamW(p, fused=True),
    "steepest.AdamW": lambda p: steepest.AdamW(p, lr=1e-3),
    "Auto": steepest.Auto,
}
WARM = 3  # rounds that are not counted


def step(model: nn.Module, x: Tensor, opt: torch.optim.Optimizer) -> float:
    """One step of training; its seconds."""
    began = time.perf_counter()
    opt.zero_grad()
    nn.functional.cross_entropy(model(x).flatten(0, -2), x.roll(-1, 1).flatten()).backward()
    opt.step()
    return time.perf_counter() - began


def state_bytes(opt: torch.optim.Optimizer) -> float:
    """Bytes of state per parameter."""
    held = [t for s in opt.state.values() for t in s.values() if isinstance(t, Tensor) and t.numel() > 1]
    weights = sum(p.numel() for group in opt.param_groups for p in group["params"])
    return sum(t.numel() * t.element_size() for t in held) / weights


def main() -> None:
    """Measure, print, write down."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--rounds", type=int, default=40)
    options.add_argument("--result", type=Path, default=Path("docs/results/auto-cost.json"))
    given = options.parse_args()
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    for name, (width, rows) in MODELS.items():
        torch.manual_seed(0)
        x = torch.randint(0, 256, (rows, 64))
        runs = {}
        for method, make in MAKES.items():
            model = Transformer(width, 2, 4)
            runs[method] = (model, make(model.parameters()))
        seconds = [{m: step(model, x, opt) for m, (model, opt) in runs.items()} for _ in range(given.rounds + WARM)]
        base = next(iter(MAKES))
        found[name] = {
            m: {"time": round(statistics.median(s[m] / s[base] for s in seconds[WARM:]), 3),
                "milliseconds": round(1e3 * statistics.median(s[m] for s in seconds[WARM:]), 2),
                "state bytes": round(state_bytes(opt), 2)}
            for m, (_, opt) in runs.items()
        }  # fmt: skip
        print(name, json.dumps(found[name]), flush=True)
    command = f"python benchmarks/auto_cost.py --rounds {given.rounds}"
    result = {"command": command, "torch": torch.__version__, "steps": found}
    given.result.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
