"""Auto in runs ten times as long as the benchmark's, against AdamW at three learning rates, constant and falling to zero.

The question, written before the first whole run: is Auto's mean held-out loss at the end at most 1.02 times that of the
best of the six?  A LeNet on all 60,000 images of Fashion-MNIST for ten epochs (4,680 steps), and the benchmark's byte-level
transformer for 4,000 steps.  Auto had been run once on the first of them, on seed 0, before this was written.

    python benchmarks/auto_long.py [--seeds 3] [--jobs 2] [--runs FILE] [--result docs/results/auto-long.json]

Runs are kept in a file, so a study that was killed goes on; begin a new file when Auto has changed.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from stepsize_problems import _images, lenet
from study import done_before, key, wave
from torch import Tensor

import steepest
from steepest.bench.problem import Problem, classification, cross_entropy, minibatches
from steepest.bench.run import returned
from steepest.bench.workloads import BUILT_IN

RATES = (1e-3, 3e-3, 1e-2)


def images(seed: int) -> Problem:
    """LeNet on Fashion-MNIST."""
    train, test = _images()
    return Problem(lenet(), cross_entropy, minibatches(train, 128, seed), classification(test))


PROBLEMS: dict[str, tuple[Callable[[int], Problem], int]] = {
    "LeNet, Fashion-MNIST": (images, 4680),
    "transformer, bytes": (BUILT_IN["stdlib-lm"].build, 4000),
}
MAKES: dict[str, Callable[[Any], torch.optim.Optimizer]] = {"Auto": steepest.Auto} | {
    f"AdamW, {lr:g}{how}": lambda p, lr=lr: torch.optim.AdamW(p, lr=lr)  # type: ignore[misc]
    for lr in RATES
    for how in ("", ", linear decay")
}


def train(problem: str, name: str, seed: int) -> dict[str, Any]:
    """Step, held-out loss and accuracy at every tenth of a run."""
    torch.set_num_threads(1)
    build, steps = PROBLEMS[problem]
    torch.manual_seed(seed)
    known = build(seed)
    opt = MAKES[name](known.model.parameters())
    falling = torch.optim.lr_scheduler.LambdaLR(opt, lambda t: 1 - t / steps) if "decay" in name else None
    seen = []
    for t in range(1, steps + 1):
        opt.zero_grad()
        loss: Tensor = known.loss(known.model, known.batch(t - 1))
        loss.backward()
        opt.step()
        if falling:
            falling.step()
        if t % (steps // 10) == 0:
            known.model.eval()
            with torch.no_grad(), returned(opt):
                found = known.evaluate(known.model)
            known.model.train()
            seen.append((t, round(float(found["loss"]), 4), round(float(found["accuracy"]), 4)))
    return {"curve": seen, "loss": seen[-1][1]}


def main() -> None:
    """Run, print, write down."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--jobs", type=int, default=2)
    options.add_argument("--runs", type=Path, default=Path("steepest-bench/auto-long.jsonl"))
    options.add_argument("--result", type=Path, default=Path("docs/results/auto-long.json"))
    given = options.parse_args()
    runs = [(p, name, seed) for p in PROBLEMS for seed in range(given.seeds) for name in MAKES]
    done = done_before(given.runs)
    wave(train, runs, done, given.runs, given.jobs)
    curves = {run: done[key(*run)]["curve"] for run in runs}
    rows: dict[str, dict[str, Any]] = {}
    for problem in PROBLEMS:
        rows[problem] = {}
        for name in MAKES:
            found = [curves[problem, name, seed] for seed in range(given.seeds)]
            rows[problem][name] = {
                "loss": round(statistics.fmean(c[-1][1] for c in found), 4),
                "accuracy": round(statistics.fmean(c[-1][2] for c in found), 4),
                "losses": [c[-1][1] for c in found],
                "curve": [[at[0][0], round(statistics.fmean(a[1] for a in at), 4)] for at in zip(*found, strict=True)],
            }
            print(f"{problem:24s} {name:28s} {rows[problem][name]['loss']:.3f} {rows[problem][name]['accuracy']:.4f}")
        best = min(row["loss"] for name, row in rows[problem].items() if name != "Auto")
        rows[problem]["ratio"] = {"value": round(rows[problem]["Auto"]["loss"] / best, 3), "bound": 1.02}
        print(problem, rows[problem]["ratio"], flush=True)
    result = {
        "command": f"python benchmarks/auto_long.py --seeds {given.seeds}",
        "torch": torch.__version__,
        "rows": rows,
    }
    given.result.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
