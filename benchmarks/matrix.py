"""How fast is a step of a matrix method?  Muon against torch.optim.Muon, both timed in turn in one process.

    python benchmarks/matrix.py [--rounds N] [--out docs/results/matrix.json]

Two lists of matrices, since torch's takes nothing else: those of GPT-2 small's twelve layers at a quarter of its width, and 60
small ones.  torch multiplies in bfloat16 on every device, which some CPUs do fast; so a second column is torch's with its
products in float32, as ours are on a CPU.  Milliseconds are medians over rounds in which all take turns, of processor time on
one thread, which other processes on the machine do not change.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

import steepest

Shapes = list[tuple[int, ...]]
WIDTH = 768 // 4
LISTS: dict[str, Shapes] = {
    "gpt2 / 4": [(3 * WIDTH, WIDTH), (WIDTH, WIDTH), (4 * WIDTH, WIDTH), (WIDTH, 4 * WIDTH)] * 12,
    "60 small": [(64, 64)] * 55 + [(256, 128)] * 5,
}


class Float32(torch.optim.Muon):
    """torch's, with its products in float32."""

    def step(self, closure: Any = None) -> Any:
        """One step."""
        with patch.object(torch.Tensor, "bfloat16", torch.Tensor.clone):
            return super().step(closure)


METHODS: dict[str, Callable[..., Any]] = {
    "torch": torch.optim.Muon,
    "torch, float32": Float32,
    "steepest": steepest.Muon,
}


def parameters(shapes: Shapes) -> list[torch.nn.Parameter]:
    """Parameters with gradients."""
    made = [torch.nn.Parameter(torch.randn(s) * 0.02) for s in shapes]
    for p in made:
        p.grad = torch.randn_like(p) * 1e-3
    return made


def seconds(opt: Any) -> float:
    """One step."""
    start = time.process_time()
    opt.step()
    return time.process_time() - start


def race(shapes: Shapes, rounds: int) -> dict[str, float]:
    """Median milliseconds of a step by method, in turns, and of the first step."""
    opts = {name: make(parameters(shapes)) for name, make in METHODS.items()}
    first = {f"{name}, first": seconds(opt) * 1e3 for name, opt in opts.items()}
    turns = [{name: seconds(opt) for name, opt in opts.items()} for _ in range(rounds + 1)][1:]
    return {name: statistics.median(turn[name] for turn in turns) * 1e3 for name in METHODS} | first


def main() -> None:
    """Measure both lists and write one json file."""
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--out", type=Path, default=Path("docs/results/matrix.json"))
    chosen = options.parse_args()
    torch.set_num_threads(1)
    rows = {}
    for name, shapes in LISTS.items():
        found = race(shapes, chosen.rounds)
        found |= {f"time to {other}": found["steepest"] / found[other] for other in ("torch", "torch, float32")}
        rows[name] = {key: float(f"{value:.3g}") for key, value in found.items()}
        print(f"{name:10s}", *(f"{key} {value:.3g}" for key, value in rows[name].items()), sep="  ", flush=True)
    machine = {
        "cpu": platform.machine(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    kept = {
        "milliseconds": rows,
        "machine": machine,
        "command": f"python benchmarks/matrix.py --rounds {chosen.rounds}",
    }
    chosen.out.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
