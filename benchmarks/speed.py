"""How fast is a step?  Ratios against torch's fused AdamW, both timed in turn in one process.

    python benchmarks/speed.py [--parts one,gpt2,small,variants,first] [--rounds N] [--out docs/results/speed.json]
    python benchmarks/speed.py --table

Three lists of parameters: one tensor of 50 million elements, GPT-2 small's 148 tensors, and a model of 60 small tensors
with 300 thousand parameters.  *Rate* is necessary bytes per second (each input read once, each output written once)
relative to fused AdamW's; *time* is the time of a step relative to fused AdamW's.  Both are medians over rounds in which
the two take turns.  First steps are taken in fresh processes, with an empty and with a filled cache of compiled loops;
state is allocated before the clock starts.

A run adds what it measured to the file and leaves there what earlier runs did: a noisy machine is measured several times,
and ``--table`` shows medians over runs, with the lowest and the highest.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

import steepest

Shapes = list[tuple[int, ...]]
#: bytes a float32 parameter must move in one step: x, g and state read, x and state written
NECESSARY = {"AdamW": 28, "Lion": 20, "ADOPT": 28, "AdaBelief": 28, "CAdamW": 28, "MARS": 36, "SGD": 12, "DoG": 16}
ONE_LAYER: Shapes = [(768,), (768,), (768, 2304), (2304,), (768, 768), (768,), (768,), (768,), (768, 3072), (3072,),
                     (3072, 768), (768,)]  # fmt: skip
LISTS: dict[str, Shapes] = {
    "one": [(50_000_000,)],
    "gpt2": [(50257, 768), (1024, 768), *ONE_LAYER * 12, (768,), (768,)],
    "small": [(64, 64)] * 35 + [(64,)] * 20 + [(256, 128)] * 5,
}


def parameters(shapes: Shapes) -> list[torch.nn.Parameter]:
    """Parameters with gradients."""
    made = [torch.nn.Parameter(torch.randn(s) * 0.02) for s in shapes]
    for p in made:
        p.grad = torch.randn_like(p) * 1e-3
    return made


def seconds(opt: Any) -> float:
    """One step."""
    start = time.perf_counter()
    opt.step()
    return time.perf_counter() - start


def race(make: Any, shapes: Shapes, rounds: int) -> tuple[float, float]:
    """Median seconds of a step of fused AdamW and of the method, in turns."""
    fused = torch.optim.AdamW(parameters(shapes), fused=True)
    ours = make(parameters(shapes))
    for opt in (fused, ours, fused, ours):
        opt.step()
    pairs = [(seconds(fused), seconds(ours)) for _ in range(rounds)]
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def first_step(name: str) -> float:
    """Seconds of a first step on GPT-2 small's list, allocation of state taken off (run in a fresh process)."""
    opt = getattr(steepest, name)(parameters(LISTS["gpt2"]))
    opt._make_state()
    return seconds(opt)


def first_steps(name: str) -> dict[str, float]:
    """With an empty and with a filled cache."""
    with tempfile.TemporaryDirectory() as cache:
        call = [sys.executable, __file__, "--first", name]
        environment = {**os.environ, "STEEPEST_CACHE": cache}
        runs = [subprocess.run(call, env=environment, capture_output=True, text=True, check=True) for _ in range(2)]
    return {"cold": float(runs[0].stdout.split()[-1]), "warm": float(runs[1].stdout.split()[-1])}


def without_a_compiler() -> str:
    """The race of AdamW's fallback, in a process of its own."""
    code = ("import sys, warnings; sys.path.insert(0, 'benchmarks'); warnings.simplefilter('ignore'); "
            "import speed, steepest; print(*speed.race(steepest.AdamW, speed.LISTS['gpt2'], 7))")  # fmt: skip
    environment = {**os.environ, "CC": "no-such-compiler"}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout


def kernels_under_schedule() -> dict[str, int]:
    """Loops compiled at the first step, and after 50 steps of changing lr."""
    opt = steepest.AdamW(parameters(LISTS["small"]))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(opt, 50)
    opt.step()
    before = len(opt.kernels)
    for _ in range(50):
        opt.step()
        schedule.step()
    return {"first": before, "after_50": len(opt.kernels)}


def state_bytes() -> dict[str, float]:
    """Bytes of AdamW's state per parameter, by codec."""
    found = {}
    for codec in ("float32", "bfloat16", "int8"):
        p = torch.nn.Parameter(torch.zeros(1 << 16))
        p.grad = torch.ones_like(p)
        opt = steepest.AdamW([p], codec=codec)
        opt.step()
        stored = [v for v in opt.state[p].values() if isinstance(v, torch.Tensor)]
        found[codec] = sum(v.numel() * v.element_size() for v in stored) / p.numel()
    return found


VARIANTS: dict[str, dict[str, str]] = {
    "eager": {"lift": "eager"}, "bfloat16": {"codec": "bfloat16"}, "int8": {"codec": "int8"}, "skip": {"nonfinite": "skip"},
}  # fmt: skip
Found = tuple[str, dict[str, float]]


def found(row: str, base: float, ours: float, necessary: int | None = None) -> Found:
    """One measurement as it is kept."""
    numbers = {"fused_ms": base * 1e3, "ms": ours * 1e3, "time": ours / base}
    return row, numbers | ({"rate": necessary / 28 * base / ours} if necessary else {})


def measure(parts: list[str], rounds: int) -> Iterator[Found]:
    """One row after the other."""
    for where in (part for part in parts if part in LISTS):
        for name, necessary in NECESSARY.items():
            base, ours = race(getattr(steepest, name), LISTS[where], rounds * (20 if where == "small" else 1))
            yield found(f"{where}/{name}", base, ours, necessary)
    if "variants" in parts:
        base, ours = map(float, without_a_compiler().split()[-2:])
        yield found("gpt2/AdamW, pieces (no compiler)", base, ours)
        for label, options in VARIANTS.items():
            base, ours = race(partial(steepest.AdamW, **options), LISTS["gpt2"], rounds)
            yield found(f"gpt2/AdamW, {label}", base, ours)
    for name in ("AdamW", "ADOPT", "CAdamW") if "first" in parts else ():
        yield f"first/{name}", first_steps(name)


def table(rows: dict[str, dict[str, list[float]]]) -> None:
    """Medians over runs, as the documentation shows them."""

    def text(values: list[float]) -> str:
        middle = f"{statistics.median(values):.2f}"
        return f"{middle} ({min(values):.2f} to {max(values):.2f})" if len(values) > 1 else middle

    called = {"one": "one of 50 million", "gpt2": "GPT-2 small's 148", "small": "60 small, 300 thousand in all"}
    for row, numbers in rows.items():
        where, name = row.split("/")
        if where == "first":
            print(f"| {name} | {text(numbers['cold'])} | {text(numbers['warm'])} |")
        else:
            bytes_moved = NECESSARY.get(name, "")
            rate = text(numbers["rate"]) if "rate" in numbers else ""
            print(f"| {called[where]} | {name} | {bytes_moved} | {text(numbers['time'])} | {rate} |")


def main() -> None:
    """Measure what was asked for and add it to one json file."""
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--out", type=Path, default=Path("docs/results/speed.json"))
    options.add_argument("--parts", default="one,gpt2,small,variants,first")
    options.add_argument("--table", action="store_true")
    options.add_argument("--first")
    chosen = options.parse_args()
    if chosen.first:
        print(first_step(chosen.first))
        return
    kept: dict[str, Any] = json.loads(chosen.out.read_text()) if chosen.out.is_file() else {"rows": {}}
    if chosen.table:
        table(kept["rows"])
        return
    for row, numbers in measure(chosen.parts.split(","), chosen.rounds):
        print(f"{row:35s}", *(f"{name} {value:.3f}" for name, value in numbers.items()), flush=True)
        for name, value in numbers.items():
            kept["rows"].setdefault(row, {}).setdefault(name, []).append(float(f"{value:.4g}"))
    kept |= {
        "kernels": kernels_under_schedule(),
        "state_bytes": state_bytes(),
        "machine": {"cpu": platform.machine(), "cores": os.cpu_count(), "threads": torch.get_num_threads(),
                    "torch": torch.__version__, "python": platform.python_version()},
        "command": "python benchmarks/speed.py",
    }  # fmt: skip
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
