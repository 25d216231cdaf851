"""A small training run on real data that may be killed at any moment, and a server that starts it many times.

The run: handwritten digits, a perceptron with dropout, a method with a learning rate schedule. Every few steps it saves
all there is (weights, optimizer, schedule, random state, position, loss curve); when it is started again it goes on from
there. Where it is (step and phase) stands in a tiny shared file that outlives a kill, so a test can choose its moment.

The server imports everything once and forks a child for every life of a run: a start costs milliseconds, and the child
is a process of its own that can be killed like any other.
"""

from __future__ import annotations

import functools
import gc
import json
import mmap
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import steepest

METHODS: dict[str, Callable[[Any], steepest.Optimizer]] = {
    "AdamW-int8": lambda params: steepest.AdamW(params, lr=3e-3, codec="int8"),
    "PoNoS": lambda params: steepest.PoNoS(params),
    "DAdaptAdam": lambda params: steepest.DAdaptAdam(params, d0=1e-4),
    "GaLore": lambda params: steepest.GaLore(params, lr=0.02, rank=4, every=7),
    "SAM": lambda params: steepest.SAM(params, lr=0.05),
    "MeZO": lambda params: steepest.MeZO(params, lr=1e-3, directions=2),
}
BATCH = 64
PHASES = ("start", "load", "data", "step", "save", "end")


@dataclass(frozen=True)
class Job:
    """What is run: a method for so many steps, saved every few, its files in a folder.

    Args:
        cache: where compiled loops are kept; empty: as for any program.
        bench: arguments of the command line to be run instead of a training run.
        script: Python to be run instead of a training run.
    """

    folder: str
    method: str = ""
    steps: int = 0
    every: int = 0
    cache: str = ""
    bench: tuple[str, ...] = ()
    script: str = ""


class Place:
    """Where a run is, in a file of a few bytes that is shared with whoever watches it."""

    def __init__(self, folder: str | Path) -> None:
        path = Path(folder) / "place"
        if not path.exists():
            path.write_bytes(bytes(8))
        with path.open("r+b") as file:
            self._bytes = mmap.mmap(file.fileno(), 8)

    def set(self, step: int, phase: str) -> None:
        """The run says where it is."""
        self._bytes[:] = step.to_bytes(4, "little") + PHASES.index(phase).to_bytes(4, "little")

    def get(self) -> tuple[int, str]:
        """Step and phase."""
        return int.from_bytes(self._bytes[:4], "little"), PHASES[self._bytes[4]]

    def reached(self, step: int) -> bool:
        """Whether the run has come so far."""
        return self.get()[0] >= step


@functools.cache
def digits() -> tuple[Tensor, Tensor]:
    """Scikit-learn's handwritten digits: 1797 pictures of 8 by 8 pixels."""
    data = load_digits()
    return torch.tensor(data.data / 16, dtype=torch.float32), torch.tensor(data.target)


def batch(step: int) -> tuple[Tensor, Tensor]:
    """The batch of a step as a function of the step: its place in that epoch's order."""
    x, y = digits()
    epoch, place = divmod(step, len(y) // BATCH)
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(epoch))
    rows = order[place * BATCH : (place + 1) * BATCH]
    return x[rows], y[rows]


def train(job: Job) -> None:
    """Train from the last checkpoint to the end; the last checkpoint is the result."""
    place, path = Place(job.folder), Path(job.folder) / "checkpoint.pt"
    place.set(0, "start")
    torch.default_generator.manual_seed(0)  # torch.manual_seed also notes its caller, from source files on disk
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 10))
    opt = METHODS[job.method](model.parameters())
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(opt, job.steps, eta_min=float(opt.param_groups[0]["lr"]) / 10)
    begin, curve = 0, list[float]()
    if path.exists():
        place.set(0, "load")
        saved = torch.load(path, weights_only=True)
        model.load_state_dict(saved["model"])
        opt.load_state_dict(saved["opt"])
        schedule.load_state_dict(saved["schedule"])
        torch.set_rng_state(saved["random"])
        begin, curve = saved["step"], saved["curve"]
    for step in range(begin, job.steps):
        place.set(step, "data")
        x, y = batch(step)
        place.set(step, "step")
        loss = opt.step(lambda: nn.functional.cross_entropy(model(x), y))
        schedule.step()
        curve.append(float(loss))
        if (step + 1) % job.every == 0 or step + 1 == job.steps:
            place.set(step, "save")
            steepest.save({"model": model.state_dict(), "opt": opt.state_dict(), "schedule": schedule.state_dict(),
                           "random": torch.get_rng_state(), "step": step + 1, "curve": curve}, path)  # fmt: skip
    place.set(job.steps, "end")


def bench(job: Job) -> None:
    """The command line, as a person starts it in the folder of the tiny workload."""
    from steepest import cli

    os.environ["STEEPEST_PLACE"] = str(Path(job.folder) / "place")
    os.chdir(Path(__file__).parent)
    sys.argv = ["steepest", *job.bench]
    cli.main(job.bench)


def child(job: Job) -> int:
    """One life: 0 if it came to its end."""
    log = os.open(Path(job.folder) / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    if job.cache:
        os.environ["STEEPEST_CACHE"] = job.cache
    warnings.simplefilter("error")  # a lift that falls back says so by a warning
    try:
        if job.script:
            exec(job.script, {})
        else:
            (bench if job.bench else train)(job)
    except SystemExit as left:
        return int(left.code or 0)
    except BaseException:  # noqa: BLE001 -- told to whoever started it
        traceback.print_exc()
        return 1
    return 0


def serve() -> None:
    """Forks a child for each line of the input; answers its process number, and its end when it has come."""
    torch.set_num_threads(1)
    digits()
    torch.overrides.get_overridable_functions()  # half a second that tracing would take in every child
    if "bench" in sys.argv:
        import steepest.bench.report
        import steepest.bench.show
        import steepest.cli  # noqa: F401
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page of the server
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    for line in sys.stdin:
        given: dict[str, Any] = json.loads(line)
        job = Job(**given | {"bench": tuple(given["bench"])})
        pid = os.fork()
        if pid == 0:
            os._exit(child(job))
        answers.write(f"{pid}\n")
        answers.write(f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n")


def as_line(job: Job) -> str:
    """A job as the server reads it."""
    return json.dumps(asdict(job)) + "\n"


if __name__ == "__main__":
    serve()
