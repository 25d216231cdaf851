"""How a run is killed at random moments and started again until it has come to its end; and what must hold each time.

Run it as a program for more kills than a test has time for, fresh processes included, and read the numbers::

    python -m tests.reliability.killing [AdamW-int8 ...] --times 20 [--fresh] [--bench]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import select
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.reliability.train_job import METHODS, Job, Place, as_line

HERE = Path(__file__).parent
PATIENCE = 120.0  # seconds without an end before a life counts as hanging


class Server:
    """Starts jobs as processes of their own; a context manager.

    Args:
        fresh: a new Python for every life instead of a fork.
        words: of the server's command line; "bench": load what the benchmark needs, too.
    """

    def __init__(self, fresh: bool = False, *words: str) -> None:
        self.fresh, self.words = fresh, words
        self._python: subprocess.Popen[str] | None = None

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._python is not None:
            self._python.communicate()
            self._python = None

    def _pipes(self) -> tuple[Any, Any]:
        assert self._python is not None
        return self._python.stdin, self._python.stdout

    def start(self, job: Job) -> int:
        """Start a life; its process number."""
        if self.fresh:
            self._stop()
        if self._python is None:
            threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
            self._python = subprocess.Popen(
                [sys.executable, str(HERE / "train_job.py"), *self.words],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=os.environ | threads,
            )  # fmt: skip
        to, answers = self._pipes()
        to.write(as_line(job))
        return int(answers.readline())

    def over(self) -> bool:
        """Whether the life that was started last has ended."""
        return bool(select.select([self._pipes()[1]], [], [], 0)[0])

    def end(self) -> int:
        """Wait for its end; the exit code, negative for a signal."""
        return int(self._pipes()[1].readline())

    def complete(self, job: Job) -> float:
        """A life to its end, which must be a good one; how many seconds it took."""
        self.start(job)
        began = time.perf_counter()
        code = self.end()
        assert code == 0, f"exit code {code}: {(Path(job.folder) / 'log').read_text()[-2000:]}"
        return time.perf_counter() - began

    def kill(self, job: Job, when: Callable[[], bool], delay: float) -> bool:
        """A life that is killed so many seconds after ``when``; False if it was over before."""
        pid, deadline = self.start(job), time.monotonic() + PATIENCE
        while not when() and not self.over():
            assert time.monotonic() < deadline, "the run hangs"
            time.sleep(0.001)
        time.sleep(delay)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        code = self.end()
        assert code in (0, -signal.SIGKILL), f"exit code {code}: {(Path(job.folder) / 'log').read_text()[-2000:]}"
        return code != 0


def differences(a: Any, b: Any, where: str = "") -> Iterator[str]:
    """Every place where two nested results are not the same to the bit."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        if a.dtype != b.dtype or a.shape != b.shape or not torch.equal(a, b):
            yield where
    elif isinstance(a, dict) and isinstance(b, dict):
        for key in {**a, **b}:
            yield from differences(a.get(key), b.get(key), f"{where}.{key}")
    elif isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)) and len(a) == len(b):
        for i, (u, v) in enumerate(zip(a, b, strict=True)):
            yield from differences(u, v, f"{where}[{i}]")
    elif a != b or type(a) is not type(b):
        yield f"{where}: {a!r} != {b!r}"


@dataclass
class Tally:
    """What the kills of a run have hit."""

    phases: Counter[str] = field(default_factory=Counter)
    lives: int = 0
    seconds: float = 0.0
    torn: int = 0  # kills that left an unfinished file beside the checkpoint
    redone: int = 0  # steps that had to be made again

    def __str__(self) -> str:
        hit = ", ".join(f"{n} in {phase}" for phase, n in self.phases.most_common())
        return (
            f"{sum(self.phases.values())} kills ({hit}), {self.torn} tore a file, {self.lives} lives, "
            f"{self.redone} steps made again, {self.seconds:.1f} s"
        )


@dataclass
class BenchTally:
    """What the kills of a benchmark have hit."""

    kills: int = 0
    runs: int = 0
    begun: int = 0  # kills inside a run that had a checkpoint
    logs: int = 0  # kills that left a write-ahead log to be folded back
    finished: list[int] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.kills} kills in {self.runs} runs, {self.begun} inside a run with a checkpoint, {self.logs} with an "
            f"open log, finished runs after each: {self.finished}, {self.seconds:.1f} s"
        )


def survive_training(server: Server, job: Job, times: int, dice: random.Random, whole: dict[str, Any]) -> Tally:
    """Kill a training run so many times, and compare what it leaves each time and at its end with ``whole``."""
    folder, tally, known = Path(job.folder), Tally(), 0
    place, path, began = Place(folder), folder / "checkpoint.pt", time.perf_counter()
    for target in sorted(dice.choices(range(2 * job.steps // 3), k=times)):  # a kill has to come before the end
        place.set(0, "start")
        before = len(list(folder.glob("*.part")))
        tally.lives += 1
        if not server.kill(job, partial(place.reached, target), dice.random() * 0.01):
            break
        step, phase = place.get()
        tally.phases[phase] += 1
        tally.torn += len(list(folder.glob("*.part"))) > before
        if path.exists():
            found = torch.load(path, weights_only=True)
            assert found["step"] >= known, "a checkpoint was lost"
            assert found["curve"] == whole["curve"][: found["step"]]
            known = found["step"]
        tally.redone += max(0, step - known)
    tally.lives += 1
    server.complete(job)
    tally.seconds = time.perf_counter() - began
    assert list(differences(torch.load(path, weights_only=True), whole)) == []
    return tally


def train_and_kill(server: Server, name: str, folder: Path, times: int, steps: int, every: int, seed: int = 0) -> Tally:
    """One method: a run without a kill and without checkpoints on the way, then the same run killed so many times."""
    plain, killed = folder / "plain", folder / "killed"
    plain.mkdir(parents=True)
    killed.mkdir()
    job = Job(str(plain), name, steps, steps)
    server.complete(job)
    whole = torch.load(plain / "checkpoint.pt", weights_only=True)
    return survive_training(server, replace(job, folder=str(killed), every=every), times, random.Random(seed), whole)


def records(out: Path) -> tuple[dict[str, str], int]:
    """All finished records of a store as they are written, and the number of checkpoints; it must be a whole one."""
    with contextlib.closing(sqlite3.connect(out / "bench.sqlite")) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {"runs", "checkpoints"} <= tables:
            return {}, 0
        kept = db.execute("SELECT config, record FROM runs").fetchall()
        return dict(kept), int(db.execute("SELECT count(*) FROM checkpoints").fetchone()[0])


def timeless(record: str) -> Any:
    """A record without its seconds."""
    values = json.loads(record)
    del values["first_step"]
    for point in values["curve"]:
        del point["seconds"]
    return values


def bench_and_kill(server: Server, folder: Path, methods: str, times: int, jobs: int = 1, seed: int = 0) -> BenchTally:
    """A benchmark without a kill, then the same killed so many times and resumed; the records must be the same."""
    words = ("bench", "-w", "workload:digits", "-m", methods, "--seeds", "2", "--jobs", str(jobs), "--out")
    plain, killed, tally = folder / "plain", folder / "killed", BenchTally()
    for path in (plain, killed):
        path.mkdir()
        Place(path)
    server.complete(Job(str(plain), bench=(*words, str(plain / "out"))))
    whole, left = records(plain / "out")
    assert left == 0
    batches, _ = Place(plain).get()
    out, place, known = killed / "out", Place(killed), dict[str, str]()
    job = Job(str(killed), bench=(*words, str(out), "--resume"))
    dice, began = random.Random(seed), time.perf_counter()
    for target in sorted(dice.choices(range(batches), k=times)):
        if not server.kill(job, partial(place.reached, target), dice.random() * 0.02):
            break
        tally.kills += 1
        tally.logs += (out / "bench.sqlite-wal").exists()
        if (out / "bench.sqlite").exists():
            found, begun = records(out)
            assert {config: found.get(config) for config in known} == known, "a finished record was lost or changed"
            known = found
            tally.begun += begun > 0
            tally.finished.append(len(found))
    server.complete(job)
    found, left = records(out)
    assert left == 0
    ended, right = ({config: timeless(record) for config, record in kept.items()} for kept in (found, whole))
    assert list(differences(ended, right)) == []
    assert (out / "report.html").read_text("utf-8").rstrip().endswith("</html>")
    tally.seconds, tally.runs = time.perf_counter() - began, len(whole)
    return tally


if __name__ == "__main__":
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("names", nargs="*", help=f"of {', '.join(METHODS)}; all, if none is given")
    reader.add_argument("--times", type=int, default=20)
    reader.add_argument("--fresh", action="store_true", help="a new Python for every life")
    reader.add_argument("--bench", action="store_true", help="kill the benchmark instead of training runs")
    asked = reader.parse_args()
    with Server(asked.fresh, *(["bench"] if asked.bench else [])) as server:
        for name in [] if asked.bench else asked.names or METHODS:
            with tempfile.TemporaryDirectory() as room:
                hit: Any = train_and_kill(server, name, Path(room), asked.times, 6 * asked.times, 3)
                sys.stdout.write(f"{name}: {hit}\n")
        for jobs in (1, 2) if asked.bench else ():
            with tempfile.TemporaryDirectory() as room:
                hit = bench_and_kill(server, Path(room), "AdamW,PoNoS,MeZO", asked.times, jobs)
                sys.stdout.write(f"{jobs} jobs: {hit}\n")
