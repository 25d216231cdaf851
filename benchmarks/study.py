"""What paired studies share: runs that are written down as they end, and intervals of differences.

A run is a tuple of plain values, its file a line of JSON for each, so that a study that was killed goes on where it
stopped.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

T_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}  # Student's, two-sided, by the number of values


def key(*run: Any) -> str:
    """The name of a run."""
    return json.dumps(run)


def done_before(file: Path) -> dict[str, Any]:
    """What the file holds already, by the names of the runs."""
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    return {key(*line["run"]): line["found"] for line in lines}


def wave(train: Callable[..., dict[str, Any]], runs: Iterable[tuple[Any, ...]], done: dict[str, Any], file: Path,
         jobs: int) -> None:  # fmt: skip
    """Runs that are not done yet, each written as soon as it ends; none with no jobs."""
    missing = [run for run in dict.fromkeys(runs) if key(*run) not in done]
    if not missing or jobs == 0:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(jobs) as pool, file.open("a") as out:
        started = {pool.submit(train, *run): run for run in missing}
        for i, future in enumerate(as_completed(started)):
            run = started[future]
            done[key(*run)] = future.result()
            out.write(json.dumps({"run": run, "found": done[key(*run)]}) + "\n")
            out.flush()
            shown = ", ".join(f"{k} {v:.4g}" for k, v in done[key(*run)].items() if k in ("loss", "test"))
            print(f"{i + 1}/{len(missing)} {run}: {shown}", flush=True)


def interval(values: list[float]) -> tuple[float, float]:
    """Mean and half a 95 % interval (Student)."""
    half = T_95[len(values)] * statistics.stdev(values) / math.sqrt(len(values))
    return statistics.mean(values), half
