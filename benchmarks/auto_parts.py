"""What each part of Auto is worth: one part is changed or left out at a time, on the workloads Auto was designed on.

The number is the geometric mean, over workloads and seeds, of steps to the frozen target; a miss counts as one and a half
budgets, and the held-out loss is looked at forty times in a budget. Auto was made by looking at such numbers, so this
table says why it is what it is, and not how good it is: that is `benchmarks/auto.py`.

    python benchmarks/auto_parts.py [--seeds 3] [--result docs/results/auto-parts.json]
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from auto import DESIGN
from torch import Tensor

import steepest
from steepest import direction as D
from steepest import geometry, point, stepsize
from steepest.bench.run import returned
from steepest.bench.workloads import BUILT_IN

FIRST_SEED, EVALUATIONS = 20_000, 40


def assembled(
    betas: tuple[float, float] = (0.8, 0.99), caution: bool = True, decay: float = 0.2, gamma: int | None = 8,
    step: steepest.stepsize.StepSize | None = None, lr: float = 1.0, codec: str = "bfloat16",
) -> Callable[[Any], steepest.Optimizer]:  # fmt: skip
    """Auto with one thing changed."""

    def make(params: Any) -> steepest.Optimizer:
        adam = D.Adam(beta1=betas[0], beta2=betas[1])
        return steepest.Optimizer(
            params, lr, direction=D.Cautious(adam, scale="mean") if caution else adam,
            step_size=stepsize.Slope() if step is None else step, geometry=geometry.Decay(weight_decay=decay),
            point=None if gamma is None else point.Average(gamma=gamma), codec=codec,
        )  # fmt: skip

    return make


VARIANTS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "Auto": steepest.Auto,
    "no caution": assembled(caution=False),
    "no average": assembled(gamma=None),
    "no decay": assembled(decay=0.0),
    "no slopes: lr = 0.003": assembled(step=stepsize.StepSize(), lr=0.003),
    "no slopes: lr = 0.01": assembled(step=stepsize.StepSize(), lr=0.01),
    "no slopes: lr = 0.03": assembled(step=stepsize.StepSize(), lr=0.03),
    "DoG in the place of slopes": assembled(step=stepsize.DoG()),
    "decay 0.1": assembled(decay=0.1),
    "decay 0.4": assembled(decay=0.4),
    "β₁ = 0.7": assembled(betas=(0.7, 0.99)),
    "β₁ = 0.9": assembled(betas=(0.9, 0.99)),
    "β₂ = 0.95": assembled(betas=(0.8, 0.95)),
    "β₂ = 0.999": assembled(betas=(0.8, 0.999)),
    "average of the last fifth": assembled(gamma=4),
    "average of the last twentieth": assembled(gamma=20),
    "first step 1e-5": assembled(step=stepsize.Slope(first=1e-5)),
    "first step 1e-3": assembled(step=stepsize.Slope(first=1e-3)),
    "moments in float32": assembled(codec="float32"),
    "torch.AdamW, lr = 0.01, decay 0.1": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
}


def steps_to_target(make: Callable[[Any], Any], workload: str, seed: int) -> float:
    """Steps until the held-out loss is at the target."""
    known = BUILT_IN[workload]
    torch.manual_seed(seed)
    problem = known.build(seed)
    model, budget = problem.model, round(known.budget / 3)
    opt = make([p for p in model.parameters() if p.requires_grad])
    every = max(1, budget // EVALUATIONS)
    for t in range(budget):

        def closure(t: int = t) -> Tensor:
            loss = problem.loss(model, problem.batch(t))
            if not isinstance(opt, steepest.Optimizer):
                opt.zero_grad()
                loss.backward()
            return loss

        if not math.isfinite(float(opt.step(closure))):
            break
        if (t + 1) % every == 0:
            model.eval()
            with torch.no_grad(), returned(opt):
                loss = float(problem.evaluate(model)["loss"])
            model.train()
            if known.target is not None and loss <= known.target:
                return t + 1
    return 1.5 * budget


def main() -> None:
    """Run all, print a table, write it down."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--result", type=Path, default=Path("docs/results/auto-parts.json"))
    given = options.parse_args()
    rows: dict[str, dict[str, float]] = {}
    for name, make in VARIANTS.items():
        rows[name] = {
            w: round(statistics.geometric_mean(steps_to_target(make, w, FIRST_SEED + s) for s in range(given.seeds)), 1)
            for w in DESIGN
        }
        rows[name]["all"] = round(statistics.geometric_mean(rows[name].values()), 1)
        print(f"{name:34s}", *(f"{v:7.1f}" for v in rows[name].values()), flush=True)
    given.result.parent.mkdir(parents=True, exist_ok=True)
    command = f"python benchmarks/auto_parts.py --seeds {given.seeds}"
    given.result.write_text(
        json.dumps({"command": command, "torch": torch.__version__, "steps": rows}, indent=1, ensure_ascii=False)
        + "\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
