"""Auto, untouched, against tuned AdamW and against methods at one setting each, also on workloads it was not made on.

Auto was designed on the workloads in `DESIGN`, on some of them with other batch sizes, and on a language model fine-tuned
to other text.  Those in `EARLIER` had never been seen by its first version, whose results on them were known when the
second, which measures its decay, was made.  Those in `UNSEEN` were built by somebody else meanwhile, and were run with Auto
for the first time by this script, after the design was finished.

- **Tuned AdamW** gets twenty trials on every workload (a random point of the published space each, on a seed used for
  nothing else); the best one is run on the seeds that are reported.
- **The others** get one setting for all workloads: of those in `GRID` the one with the least geometric mean of
  gradient-equivalents to the target over the design workloads and two seeds used for nothing else.

What is asked: on each workload, is the geometric mean over seeds of Auto's gradient-equivalents to the frozen target
below that of each of the others, and is the geometric mean over all workloads below tuned AdamW's? A miss counts as
one and a half budgets. Finished runs are kept in the store, so a run that was killed goes on.

    pip install -c constraints.txt '.[bench,rivals]' && python benchmarks/auto.py [--jobs 2] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from steepest.bench.contestants import TORCH, draw
from steepest.bench.plan import TRIAL_SEED, best
from steepest.bench.pool import Event, carry_out
from steepest.bench.run import Run
from steepest.bench.stats import time_to, wilcoxon
from steepest.bench.store import Store
from steepest.bench.workloads import BUILT_IN

DESIGN = ("digits-mlp", "diabetes", "photo-completion", "stdlib-tokens", "digits-conv", "breast-cancer",
          "breast-cancer-raw", "digits-finetune", "stdlib-gru", "stdlib-lm", "fashion-mnist", "digits-autoencoder",
          "photo-coordinates")  # fmt: skip
EARLIER = (
    "digits-vit",
    "digits-vae",
    "docstrings-topic",
    "docstrings-lstm",
    "wine",
    "flower-denoise",
    "minilm-finetune",
)
UNSEEN = ("burgers-pinn", "glyphs-finetune", "glyphs-resnet", "spoken-numbers", "stdlib-long", "stdlib-names")
KINDS = {name: kind for kind, names in (("design", DESIGN), ("earlier", EARLIER), ("unseen", UNSEEN)) for name in names}
SEEDS, TRIALS = 5, 20
_PLAIN = [{"lr": lr, "weight_decay": w} for lr in (3e-3, 1e-2, 3e-2) for w in (0.01, 0.1)]
GRID: dict[str, list[dict[str, Any]]] = {
    "torch.AdamW": _PLAIN,
    "torch.NAdam": [{**one, "decoupled_weight_decay": True} for one in _PLAIN],
    "schedulefree.AdamWScheduleFree": _PLAIN,
    "prodigyopt.Prodigy": [{"d_coef": d, "weight_decay": w} for d in (0.5, 1.0, 2.0) for w in (0.0, 0.1)],
}
TUNED = "torch.AdamW, tuned"


def run(workload: str, method: str, seed: int, hyper: dict[str, Any]) -> Run:
    """One run with the workload's whole budget."""
    return Run(workload, method, seed, BUILT_IN[workload].budget, hyper)


def cost(store: Store, one: Run) -> float:
    """Gradient-equivalents to the target; a miss counts as one and a half budgets."""
    record, target = store.get(one), BUILT_IN[one.workload].target
    assert record is not None and target is not None
    return min(time_to(record.curve, target, "ge", one.budget), 1.5 * one.budget)


def mean(values: Sequence[float]) -> float:
    """The geometric mean."""
    return math.exp(statistics.fmean(map(math.log, values)))


def main() -> None:
    """Calibrate, tune, run, sum up."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--jobs", type=int, default=2)
    options.add_argument("--out", type=Path, default=Path("steepest-bench/auto"))
    options.add_argument("--result", type=Path, default=Path("docs/results/auto.json"))
    given = options.parse_args()
    known = [name for name in KINDS if BUILT_IN[name].reason_to_skip() is None]
    given.out.mkdir(parents=True, exist_ok=True)

    def listen(event: Event) -> None:
        if event.status:
            print(event.run.workload, event.run.method, event.run.seed, event.run.hyper, event.status, flush=True)

    with Store(given.out) as store:

        def complete(runs: Sequence[Run]) -> None:
            carry_out([one for one in runs if store.get(one) is None], given.out, given.jobs, listen)

        calibration = {
            method: {i: [run(w, method, TRIAL_SEED + s, hyper) for w in DESIGN if w in known for s in range(2)]
                     for i, hyper in enumerate(settings)}
            for method, settings in GRID.items()
        }  # fmt: skip
        complete([one for settings in calibration.values() for runs in settings.values() for one in runs])
        chosen: dict[str, dict[str, Any]] = {
            method: GRID[method][min(runs, key=lambda i, r=runs: mean([cost(store, one) for one in r[i]]))]  # type: ignore[misc]
            for method, runs in calibration.items()
        }
        space = TORCH["AdamW"]
        trials = {w: [run(w, "torch.AdamW", TRIAL_SEED, draw(space, k)) for k in range(TRIALS)] for w in known}
        complete([one for runs in trials.values() for one in runs])
        tuned = {w: best(runs, store, BUILT_IN[w].target) for w, runs in trials.items()}
        finals = {
            (w, name): [run(w, method, seed, hyper) for seed in range(SEEDS)]
            for w in known
            for name, method, hyper in [("Auto", "Auto", {}), *((m, m, h) for m, h in chosen.items()),
                                        (TUNED, "torch.AdamW", tuned[w])]
        }  # fmt: skip
        complete([one for runs in finals.values() for one in runs])
        costs = {pair: [cost(store, one) for one in runs] for pair, runs in finals.items()}

    names = list(dict.fromkeys(name for _, name in costs))
    rows = [
        {"workload": w, "kind": KINDS[w],
         "target": BUILT_IN[w].target, "budget": BUILT_IN[w].budget, "tuned": tuned[w],
         "gradient_equivalents": {n: round(mean(costs[w, n]), 1) for n in names},
         "missed": {n: sum(c > BUILT_IN[w].budget for c in costs[w, n]) for n in names}}
        for w in known
    ]  # fmt: skip
    ratios: dict[str, dict[str, Any]] = {}
    for n in names[1:]:
        ratios[n] = {}
        for kind in ("all", "design", "earlier", "unseen"):
            ws = [w for w in known if kind in ("all", KINDS[w])]
            logs = [math.log(a / b) for w in ws for a, b in zip(costs[w, "Auto"], costs[w, n], strict=True)]
            ratios[n][kind] = {"ratio": round(math.exp(statistics.fmean(logs)), 3), "p": round(wilcoxon(logs), 4),
                               "won": sum(mean(costs[w, "Auto"]) < mean(costs[w, n]) for w in ws), "of": len(ws)}  # fmt: skip
    result = {"command": "python benchmarks/auto.py", "torch": torch.__version__, "machine": platform.machine(),
              "seeds": SEEDS, "trials": TRIALS, "settings": chosen, "rows": rows, "ratios": ratios}  # fmt: skip
    given.result.parent.mkdir(parents=True, exist_ok=True)
    given.result.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(ratios, indent=1))


if __name__ == "__main__":
    main()
