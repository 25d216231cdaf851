"""How a sweep is killed at random moments and resumed; and what must hold each time."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from steepest.bench.pool import carry_out
from steepest.bench.run import Run
from steepest.bench.store import NAME, Store, records_in
from steepest.bench.workloads.own import find as find_workload

VICTIM = """
import json, sys
from pathlib import Path
from steepest.bench.pool import carry_out
from steepest.bench.run import Run
from steepest.bench.store import Store
runs = [Run(**config) for config in json.loads(sys.argv[1])]
with Store(Path("out")) as store:
    missing = [run for run in runs if store.get(run) is None]
carry_out(missing, Path("out"), int(sys.argv[2]), lambda event: event.status and print("done", flush=True), sys.argv[3])
"""


def runs_of(tiny: str) -> list[Run]:
    """Eight runs of the workload as it is."""
    fingerprint = find_workload(tiny).fingerprint
    return [
        Run(tiny, method, seed, 120.0, fingerprint=fingerprint)
        for seed in range(4)
        for method in ("torch.AdamW", "torch.SGD")
    ]


def start(runs: list[Run], jobs: int, pause: float, backend: str) -> subprocess.Popen[str]:
    configs = json.dumps([run.__dict__ for run in runs])
    return subprocess.Popen([sys.executable, "-c", VICTIM, configs, str(jobs), backend], stdout=subprocess.PIPE, text=True,
                            env=os.environ | {"TINY_PAUSE": str(pause)})  # fmt: skip


def curves(runs: list[Run], folder: Path) -> list[list[dict[str, Any]]]:
    with Store(folder) as store:
        records = [store.get(run) for run in runs]
    assert all(r is not None and r.status == "done" for r in records)
    return [[{k: v for k, v in p.items() if k != "seconds"} for p in r.curve] for r in records if r is not None]


def children_of(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    return [int(word) for word in listed.stdout.split()]


def alive(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def kill_at_random(tiny: str, times: int, jobs: int, backend: str = "loky") -> None:
    """Kills a bench again and again, checks the store each time, lets it end, and compares with a quiet bench."""
    runs, dice = runs_of(tiny), random.Random(times)
    kept = 0
    for _ in range(times):
        with start(runs, jobs, 0.002, backend) as victim:
            assert victim.stdout is not None
            if dice.random() < 0.8:
                victim.stdout.readline()  # at least one more run is finished…
            time.sleep(dice.uniform(0.0, 0.15))  # …and the next is somewhere inside, or being written
            workers = children_of(victim.pid) if jobs > 1 else []
            victim.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 10
        while any(map(alive, workers)):
            assert time.monotonic() < deadline, "workers outlive their parent"
            time.sleep(0.02)
        if Path("out", NAME).exists():
            with contextlib.closing(sqlite3.connect(Path("out", NAME))) as db:
                assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        now = records_in(Path("out"))
        assert now >= kept, "a finished run was lost"
        kept = now
    assert kept > 0
    with start(runs, jobs, 0.0, backend) as last:
        out, _ = last.communicate(timeout=120)
    assert last.returncode == 0
    assert out.count("done") == len(runs) - kept, "a finished run was run again"
    carry_out(runs, Path("quiet"), 1, lambda event: None)
    assert curves(runs, Path("out")) == curves(runs, Path("quiet"))
