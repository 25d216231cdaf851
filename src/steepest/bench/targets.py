"""How the frozen targets are made: `python -m steepest.bench.targets`, some minutes on two cores.

The target of a workload is the held-out loss that well-tuned standard methods reach with half of its budget: torch's
SGD with momentum and torch's AdamW get thirty trials each, each with its best trial is run on ten seeds, and the lower
of the two median final losses, times a declared slack, is written into `targets.json` together with all that it came
from. Half of the budget, so that a method twice as slow as the tuned best still arrives and differs from one that
never does. A target changes only when its workload does.
"""

from __future__ import annotations

import argparse
import json
import platform
from dataclasses import replace
from pathlib import Path

import torch

from steepest.bench.plan import Settings, bench, final_loss
from steepest.bench.pool import Event
from steepest.bench.stats import median
from steepest.bench.workloads import BUILT_IN

SLACK = 1.05  # seeds differ: half of the runs that set the target end above their own median
PART = 0.5  # of the workload's budget that the baselines may spend
BASELINES = ("torch.SGD", "torch.AdamW")
FILE = Path(__file__).with_name("targets.json")


def freeze(names: list[str], trials: int, seeds: int, jobs: int, folder: Path) -> dict[str, dict[str, object]]:
    """Measures the targets of the named workloads; results are kept in `folder`, so it can be stopped and run again."""
    workloads = tuple(replace(w, target=None, budget=w.budget * PART) for w in map(BUILT_IN.__getitem__, names))
    settings = Settings(workloads, BASELINES, seeds, folder, tune=trials, jobs=jobs)

    def listen(event: Event) -> None:
        if event.status:
            print(event.run.workload, event.run.method, event.run.seed, event.run.hyper, event.status, flush=True)

    results = bench(settings, listen)
    frozen: dict[str, dict[str, object]] = {}
    for name in names:
        finals = {m: median([final_loss(results.records[name, m, s]) for s in range(seeds)]) for m in BASELINES}
        best = min(finals, key=finals.__getitem__)
        frozen[name] = {
            "target": float(f"{finals[best] * SLACK:.4g}"),
            "medians": {m: float(f"{loss:.5g}") for m, loss in finals.items()},
            "hyper": {m: results.chosen[name, m] for m in BASELINES},
            "slack": SLACK,
            "trials": trials,
            "seeds": seeds,
            "budget": BUILT_IN[name].budget * PART,
            "torch": torch.__version__,
            "python": platform.python_version(),
        }
    return frozen


def main() -> None:
    """Freezes the targets of the workloads named as arguments, or of all that this machine can run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workloads", nargs="*")
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("steepest-bench/targets"))
    given = parser.parse_args()
    names = given.workloads or [name for name, w in BUILT_IN.items() if w.reason_to_skip() is None]
    recorded = json.loads(FILE.read_text(encoding="utf-8"))
    recorded |= freeze(names, given.trials, given.seeds, given.jobs, given.out)
    FILE.write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
