"""How fast is a step?  Ratios against torch's fused AdamW, both timed in turn in one process.

    python benchmarks/speed.py [--rounds N] [--out docs/results/speed.json]

Three lists of parameters: one tensor of 50 million elements, GPT-2 small's 148 tensors, and a model of 60 small tensors
with 300 thousand parameters.  *Rate* is necessary bytes per second (each input read once, each output written once)
relative to fused AdamW's; *time* is the time of a step relative to fused AdamW's.  Both are medians over rounds in which
the two take turns.  First steps are taken in fresh processes, with an empty and with a filled cache of compiled loops;
state is allocated before the clock starts.
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


def first_step(name: str, lift: str) -> float:
    """Seconds of a first step on GPT-2 small's list, allocation of state taken off (run in a fresh process)."""
    opt = getattr(steepest, name)(parameters(LISTS["gpt2"]), lift=lift)
    opt._make_state()
    return seconds(opt)


def first_steps(name: str, lift: str) -> dict[str, float]:
    """With an empty and with a filled cache."""
    with tempfile.TemporaryDirectory() as cache:
        call = [sys.executable, __file__, "--first", name, "--lift", lift]
        environment = {**os.environ, "STEEPEST_CACHE": cache}
        runs = [subprocess.run(call, env=environment, capture_output=True, text=True, check=True) for _ in range(2)]
    return {"cold": float(runs[0].stdout.split()[-1]), "warm": float(runs[1].stdout.split()[-1])}


def kernels_under_schedule() -> dict[str, int]:
    """Loops compiled at the first step, and after 50 steps of changing lr."""
    opt = steepest.AdamW(parameters(LISTS["small"]))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(opt, 50)
    opt.step()
    before = len(opt._kernels)
    for _ in range(50):
        opt.step()
        schedule.step()
    return {"first": before, "after_50": len(opt._kernels)}


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


def main() -> None:
    """Measure everything and write one json file."""
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--out", type=Path, default=Path("docs/results/speed.json"))
    options.add_argument("--first")
    options.add_argument("--lift", default="auto")
    options.add_argument("--lists", default="one,gpt2,small")
    chosen = options.parse_args()
    if chosen.first:
        print(first_step(chosen.first, chosen.lift))
        return
    rows: dict[str, Any] = {}
    for where in chosen.lists.split(","):
        rounds = chosen.rounds * (20 if where == "small" else 1)
        for name, necessary in NECESSARY.items():
            base, ours = race(getattr(steepest, name), LISTS[where], rounds)
            rows[f"{where}/{name}"] = {"fused_ms": base * 1e3, "ms": ours * 1e3, "time": ours / base,
                                       "rate": necessary / 28 * base / ours}  # fmt: skip
            print(f"{where:6s} {name:10s} {ours / base:5.2f} of the time, {rows[f'{where}/{name}']['rate']:5.2f} of the "
                  f"rate (fused {base * 1e3:.3f} ms)", flush=True)  # fmt: skip
    variants = {"pieces (no compiler)": {"CC": "no-such-compiler"}, "eager": {}, "bfloat16": {}, "int8": {},
                "skip": {}}  # fmt: skip
    for label, environment in variants.items():
        code = ("import sys; sys.path.insert(0, 'benchmarks'); import speed, steepest, warnings; "
                "warnings.simplefilter('ignore'); "
                f"kw = {{'eager': dict(lift='eager'), 'bfloat16': dict(codec='bfloat16'), 'int8': dict(codec='int8'), "
                f"'skip': dict(nonfinite='skip')}}.get({label!r}, {{}}); "
                "a, b = speed.race(lambda ps: steepest.AdamW(ps, **kw), speed.LISTS['gpt2'], 7); print(a, b)")  # fmt: skip
        made = subprocess.run([sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True,
                              text=True, check=True)  # fmt: skip
        base, ours = map(float, made.stdout.split()[-2:])
        rows[f"gpt2/AdamW, {label}"] = {"fused_ms": base * 1e3, "ms": ours * 1e3, "time": ours / base}
        print(f"gpt2   AdamW, {label}: {ours / base:5.2f} of the time", flush=True)
    result = {
        "rows": rows,
        "first_step_seconds": {name: first_steps(name, "auto") for name in ("AdamW", "ADOPT", "CAdamW")},
        "kernels": kernels_under_schedule(),
        "state_bytes": state_bytes(),
        "machine": {"cpu": platform.machine(), "cores": os.cpu_count(), "threads": torch.get_num_threads(),
                    "torch": torch.__version__, "python": platform.python_version()},
        "command": "python benchmarks/speed.py",
    }  # fmt: skip
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({k: v for k, v in result.items() if k != "rows"}, indent=1))


if __name__ == "__main__":
    main()
