"""What each part of Auto is worth: one part is changed or left out at a time, on the workloads Auto was designed on.

The number is the geometric mean, over workloads and seeds, of steps to the target; a miss counts as one and a half
budgets, and the held-out loss is looked at forty times in a budget. *Small batches* are six of the workloads with the
first rows of each batch only; their targets are what AdamW reaches with them at the best of three learning rates, about.
Auto was made by looking at such numbers, so this table says why it is what it is, and not how good it is: that is
`benchmarks/auto.py`.

    python benchmarks/auto_parts.py [--seeds 3] [--jobs 2] [--runs FILE] [--result docs/results/auto-parts.json]

Runs are kept in a file, so a study that was killed goes on; begin a new file when Auto has changed.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from auto import DESIGN
from study import done_before, key, wave
from torch import Tensor

import steepest
from steepest import direction as D
from steepest import geometry, oracle, point, stepsize
from steepest.bench.problem import STEP, Problem, Workload
from steepest.bench.run import returned
from steepest.bench.workloads import BUILT_IN
from steepest.core.rule import total

FIRST_SEED, EVALUATIONS = 20_000, 40


def few_rows(seed: int, name: str, rows: int) -> Problem:
    """The same with the first rows of each batch."""
    problem = BUILT_IN[name].build(seed)
    whole = problem.batch
    return replace(problem, batch=lambda k: tuple(t[:rows] for t in whole(k)))


#: workload, rows, steps, target
SMALL = (("digits-mlp", 8, 400, 0.18), ("stdlib-tokens", 8, 800, 3.75), ("photo-coordinates", 16, 600, 0.095),
         ("digits-conv", 8, 400, 0.08), ("fashion-mnist", 8, 600, 0.66), ("stdlib-gru", 1, 400, 2.27))  # fmt: skip
WORKLOADS: dict[str, Workload] = {name: BUILT_IN[name] for name in DESIGN} | {
    f"{name}, {rows} rows": replace(BUILT_IN[name], build=partial(few_rows, name=name, rows=rows), budget=steps * STEP,
                                    target=target)
    for name, rows, steps, target in SMALL
}  # fmt: skip


class Alike(stepsize.FadingSlope):
    """Gradients are taken to agree."""

    @staticmethod
    def _listen(c: float, memory: dict[str, float]) -> None:
        """Nothing is learnt."""
        memory["heard"] += 1


class Straight(stepsize.FadingSlope):
    """The usual step from the first one on."""

    def eta(self, sums: Mapping[str, float], memory: dict[str, float], h: SimpleNamespace, loss: float) -> float:
        """As ever, but up."""
        if not memory["up"]:
            memory["found"], memory["up"] = h.usual, 1.0
        return super().eta(sums, memory, h, loss)


class Unturned(stepsize.FadingSlope):
    """Slopes are not heard once the usual step is reached."""

    @staticmethod
    def _correct(longer: bool, memory: dict[str, float], usual: float) -> None:
        """It is kept."""
        memory["found"] = usual


class TensorScale(D.Adam):
    """The moment over one root of squares for each tensor: the gradient's direction, in tensors of their own length."""

    def __call__(
        self, g: Tensor, x: Tensor, s: SimpleNamespace, h: SimpleNamespace
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The map."""
        _, new = super().__call__(g, x, s, h)
        return new["m"] * h.c1 / (torch.sqrt(total(new["v"]) / h.numel) * h.c2 + h.eps), new


class Signs(D.Adam):
    """The signs of the moment."""

    def __call__(
        self, g: Tensor, x: Tensor, s: SimpleNamespace, h: SimpleNamespace
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The map."""
        _, new = super().__call__(g, x, s, h)
        return torch.sign(new["m"]), new


def assembled(
    betas: tuple[float, float] = (0.5, 0.95), caution: bool = True, decay: float = 0.2, pull: float = 0.6,
    gamma: int = 2, step: stepsize.StepSize | None = None, lr: float = 1.0, alike: bool = False,
    at: point.Point | None = None, codec: str = "bfloat16", guard: bool = True, kind: type[D.Adam] = D.Adam,
) -> Callable[[Any], steepest.Optimizer]:  # fmt: skip
    """Auto with one thing changed."""

    def make(params: Any) -> steepest.Optimizer:
        adam = kind(beta1=betas[0], beta2=betas[1])
        return steepest.Optimizer(
            params, lr, direction=D.Cautious(adam, scale="mean") if caution else adam,
            step_size=stepsize.FadingSlope() if step is None else step,
            geometry=(geometry.Decay if alike else geometry.Relative)(weight_decay=decay),
            point=point.ScheduleFree(gamma=gamma, power=0, pull=pull) if at is None else at, codec=codec,
            oracle=oracle.SkipSpikes(listen=1) if guard else None,
        )  # fmt: skip

    return make


VARIANTS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "Auto": steepest.Auto,
    "agreement is not heard": assembled(step=Alike()),
    "slopes are not heard": assembled(step=Unturned()),
    "neither is: the usual step, always": assembled(step=stepsize.StepSize(), lr=0.06),
    "a third of it, always": assembled(step=stepsize.StepSize(), lr=0.02),
    "a tenth of it, always": assembled(step=stepsize.StepSize(), lr=0.006),
    "how decay does is not heard": assembled(step=stepsize.Slope()),
    "no way up": assembled(step=Straight()),
    "usual step 0.03": assembled(step=stepsize.FadingSlope(usual=0.03)),
    "usual step 0.12": assembled(step=stepsize.FadingSlope(usual=0.12)),
    "DoG in the place of Slope": assembled(step=stepsize.DoG()),
    "all tensors alike, usual step 0.015": assembled(alike=True, step=stepsize.Slope(usual=0.015)),
    "a scale for each tensor instead of each coordinate": assembled(kind=TensorScale),
    "signs of the moment": assembled(kind=Signs),
    "no caution": assembled(caution=False),
    "no average": assembled(at=point.Point()),
    "an average that does not pull": assembled(pull=0.0),
    "pull 0.3": assembled(pull=0.3),
    "pull 0.8": assembled(pull=0.8),
    "weights t⁰": assembled(gamma=0),
    "weights t⁸": assembled(gamma=8),
    "no decay": assembled(decay=0.0),
    "decay halved": assembled(decay=0.1),
    "decay doubled": assembled(decay=0.4),
    "β₁ = 0": assembled(betas=(0.0, 0.95)),
    "β₁ = 0.8": assembled(betas=(0.8, 0.95)),
    "β₁ = 0.9": assembled(betas=(0.9, 0.95)),
    "β₂ = 0.9": assembled(betas=(0.5, 0.9)),
    "β₂ = 0.99": assembled(betas=(0.5, 0.99)),
    "moments in float32": assembled(codec="float32"),
    "no guard against spikes": assembled(guard=False),
    "torch.AdamW, lr = 0.01, decay 0.1": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
    "torch.AdamW, lr = 0.003, decay 0.1": lambda p: torch.optim.AdamW(p, lr=0.003, weight_decay=0.1),
}


def train(name: str, workload: str, seed: int) -> dict[str, Any]:
    """Steps of a variant until the held-out loss is at the target."""
    torch.set_num_threads(1)
    known, make = WORKLOADS[workload], VARIANTS[name]
    torch.manual_seed(seed)
    problem = known.build(seed)
    model, budget = problem.model, round(known.budget / 3)
    opt: Any = make([p for p in model.parameters() if p.requires_grad])
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
                return {"steps": t + 1}
    return {"steps": 1.5 * budget}


def main() -> None:
    """Run all, print a table, write it down."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--jobs", type=int, default=2)
    options.add_argument("--runs", type=Path, default=Path("steepest-bench/auto-parts.jsonl"))
    options.add_argument("--result", type=Path, default=Path("docs/results/auto-parts.json"))
    given = options.parse_args()
    rows: dict[str, dict[str, float]] = {}
    groups = {"design": list(DESIGN), "small batches": [w for w in WORKLOADS if w not in DESIGN]}
    runs = [(name, w, FIRST_SEED + s) for name in VARIANTS for w in WORKLOADS for s in range(given.seeds)]
    done = done_before(given.runs)
    wave(train, runs, done, given.runs, given.jobs)
    ends = {run: done[key(*run)]["steps"] for run in runs}
    for name in VARIANTS:
        row = {
            w: statistics.geometric_mean(ends[name, w, FIRST_SEED + s] for s in range(given.seeds)) for w in WORKLOADS
        }
        means = {group: statistics.geometric_mean(row[w] for w in ws) for group, ws in groups.items()}
        rows[name] = {k: round(v, 1) for k, v in (row | means).items()}
        print(f"{name:36s}", *(f"{v:7.1f}" for v in rows[name].values()), flush=True)
    given.result.parent.mkdir(parents=True, exist_ok=True)
    command = f"python benchmarks/auto_parts.py --seeds {given.seeds}"
    given.result.write_text(
        json.dumps({"command": command, "torch": torch.__version__, "steps": rows}, indent=1, ensure_ascii=False)
        + "\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
