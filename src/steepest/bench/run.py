"""One run: a method on a workload with a seed, until its budget is spent.

A run is a frozen description; its identity is the hash of that description, so a stored result can never be taken for
the result of something else. Running it gives a record: the held-out loss along three clocks (steps, gradient-
equivalents, seconds), and how it ended. Divergence and failure are results, not exceptions.

What is timed is `opt.step` with everything in it: forward, backward and update; not the fetching of data and not the
evaluation. The first step, which may compile something, is timed apart. At each seed all methods start from the same
weights and see the same batches.

A long run can be stopped inside and goes on bit for bit: after an evaluation, `save` receives all there is (weights,
optimizer state, random state, clocks, curve).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import pickle
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import version
from types import NoneType
from typing import Any

import torch
from torch import Tensor

from steepest.bench import contestants
from steepest.bench.contestants import Contestant, Hyper
from steepest.bench.errors import UsageError, first_line
from steepest.bench.machine import here
from steepest.bench.problem import STEP, Problem, Workload, refuse_met
from steepest.bench.workloads.own import find as find_workload

STATUSES = ("done", "diverged", "failed")
EVALUATIONS = 40  # evenly spread over the budget: the resolution of "time to target"
FRAMES = 12  # of a traceback that are kept in a record
SAVE_EVERY = 10.0  # seconds between two checkpoints of a run in progress

Point = dict[str, float | None]  # step, ge, seconds, train, loss, and the workload's other metrics


@dataclass(frozen=True)
class Run:
    """The frozen description of a run.

    Attributes:
        workload, method, seed: what is run.
        budget: gradient-equivalents it may spend.
        hyper: hyper-parameters other than the method's defaults.
        fingerprint: of the workload's own code, if it is a user's.
        version: of the library.
    """

    workload: str
    method: str
    seed: int
    budget: float
    hyper: Hyper = field(default_factory=dict)
    fingerprint: str = ""
    version: str = version("steepest")

    @property
    def id(self) -> str:
        """The hash of all of it."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:20]

    def __str__(self) -> str:
        return f"{self.method} on {self.workload}, seed {self.seed}"


@dataclass(frozen=True)
class Record:
    """What came out of a run.

    Attributes:
        status: "done", "diverged" (a loss that is not finite) or "failed" (an exception).
        curve: one point an evaluation, the first before any step.
        first_step: seconds of the first step, compilation and state included; it is not in the curve's seconds.
        state_bytes: bytes of optimizer state per parameter, measured.
        settings: the hyper-parameters it really ran with.
        where: machine, threads and versions.
        error: what was raised, if it failed, in one line.
        traceback: and where, as Python prints it.
    """

    status: str
    curve: list[Point]
    first_step: float = 0.0
    state_bytes: float = 0.0
    settings: Hyper = field(default_factory=dict)
    where: dict[str, str] = field(default_factory=dict)
    error: str = ""
    traceback: str = ""


def check_curve(curve: object, least: int) -> None:
    """Checks that something read from a file is a curve of at least so many points.

    Raises:
        ValueError: it is not, with what is wrong.
    """
    if not isinstance(curve, list) or len(curve) < least:
        raise ValueError("it has no curve")
    for point in curve:
        if not isinstance(point, dict) or not {"step", "ge", "seconds", "train", "loss"} <= point.keys():
            raise ValueError(f"a point of its curve is {str(point)[:60]}")
        for name, value in point.items():
            if not isinstance(value, (int, float, NoneType)) or (value is None and name in ("step", "ge", "seconds")):
                raise ValueError(f"a point of its curve has {name} = {value!r}")


Save = Callable[[bytes], None]
Progress = Callable[[float], None]


def execute(
    run: Run,
    checkpoint: bytes | None = None,
    save: Save | None = None,
    progress: Progress | None = None,
    save_every: float = SAVE_EVERY,
) -> Record:
    """Carries out a run, from its start or from a checkpoint.

    Args:
        run: what to run.
        checkpoint: what `save` received earlier from a run with the same description.
        save: is given a checkpoint now and then, after an evaluation.
        progress: called with the part of the budget that is spent.
        save_every: seconds between checkpoints.

    Returns:
        The record; nothing that the method does wrong is raised.

    Raises:
        BrokenCheckpoint: the checkpoint cannot be taken up.
        UsageError: the problem's target is met before the first step.
    """
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a method warns of shows in its curve
        torch.manual_seed(run.seed)
        try:
            trip = _Trip(run, find_workload(run.workload), contestants.find(run.method))
        except Exception as error:  # noqa: BLE001 - a user's workload may break for one seed only
            return Record("failed", [], error=first_line(error), traceback=_trace(error))
        points, saved = trip.points(checkpoint), time.monotonic()
        while True:
            try:  # the method's mistakes are caught here, and not those of `save` and `progress`
                next(points)
            except StopIteration:
                return trip.record("diverged" if trip.diverged else "done")
            except (BrokenCheckpoint, UsageError):
                raise
            except FloatingPointError as error:  # methods may refuse a gradient that is not finite
                return trip.record("diverged", error)
            except Exception as error:  # noqa: BLE001 - a method that breaks is a result of the benchmark
                return trip.record("failed", error)
            if progress:
                progress(min(1.0, trip.ge / run.budget))
            if save and time.monotonic() - saved >= save_every and not trip.diverged:
                save(trip.checkpoint())
                saved = time.monotonic()


@contextlib.contextmanager
def returned(opt: Any) -> Iterator[None]:
    """The weights that a method hands over: an average, where it keeps one."""
    if callable(getattr(opt, "eval", None)):  # Schedule-Free and this library; torch's own keep no average
        opt.eval()
        yield
        opt.train()
    else:
        yield


def _trace(error: Exception) -> str:
    """Where it was raised, as Python prints it: the last frames, which are the nearest to the cause."""
    return "".join(traceback.format_exception(error, limit=-FRAMES))


class BrokenCheckpoint(Exception):
    """What should be a checkpoint is none; the text says why."""


class _Trip:
    """The state of a run in progress."""

    def __init__(self, run: Run, workload: Workload, contestant: Contestant) -> None:
        self.run, self.contestant = run, contestant
        self.problem: Problem = workload.build(run.seed)
        self.params = [p for p in self.problem.model.parameters() if p.requires_grad]
        self.device = self.params[0].device
        self.opt: torch.optim.Optimizer | None = None
        self.curve: list[Point] = []
        self.step, self.ge, self.seconds, self.first_step = 0, 0.0, 0.0, 0.0
        self.settings: Hyper = {}
        self.diverged = False

    def _start(self, checkpoint: bytes | None) -> None:
        """Builds the optimizer; takes up the checkpoint or makes the first evaluation."""
        torch.manual_seed(self.run.seed)  # however many random numbers building took, training starts alike
        self.opt = self.contestant.make(self.params, **self.run.hyper)
        self.settings = contestants.settings_of(self.opt)
        if checkpoint is None:
            self.evaluate([])
            refuse_met(self.run.workload, self.run.seed, self.problem.target, self.curve[0]["loss"])
        else:
            optimizer = self._take_up(checkpoint)
            self.opt.load_state_dict(optimizer)  # a method that cannot load what it saved has failed

    def _take_up(self, checkpoint: bytes) -> dict[str, Any]:
        """Takes up all of a checkpoint but the optimizer's state, which is returned.

        Raises:
            BrokenCheckpoint: it is not what `checkpoint` made.
        """
        try:
            with zipfile.ZipFile(io.BytesIO(checkpoint)) as packed:
                if (part := packed.testzip()) is not None:
                    raise ValueError(f"the checksum of {part} is wrong")
            kept = torch.load(io.BytesIO(checkpoint), weights_only=True)
            curve, optimizer = json.loads(kept["curve"]), kept["optimizer"]
            check_curve(curve, least=1)
            clocks = [float(clock) for clock in kept["clocks"]]
            step, self.ge, self.seconds, self.first_step = clocks
            self.curve, self.step = curve, int(step)
            self.problem.model.load_state_dict(kept["model"])
            torch.set_rng_state(kept["random"])
        except pickle.UnpicklingError as error:  # torch's text advises to load the file without its safety
            raise BrokenCheckpoint("it holds other things than tensors and numbers") from error
        except Exception as error:
            raise BrokenCheckpoint(first_line(error)) from error
        if not isinstance(optimizer, dict):
            raise BrokenCheckpoint(f"its optimizer state is {type(optimizer).__name__}")
        return optimizer

    def points(self, checkpoint: bytes | None) -> Iterator[None]:
        """Steps and evaluates until the budget is spent or the loss is lost; stops for breath after each evaluation."""
        self._start(checkpoint)
        model, budget = self.problem.model, self.run.budget
        model.train()
        counted, warm, losses = self._counted(), False, list[float]()
        while self.ge < budget * (1 - 1e-9) and not self.diverged:
            closure = partial(self.problem.loss, model, self.problem.batch(self.step))
            began = time.perf_counter()
            loss = self._one_step(closure)
            took = time.perf_counter() - began
            if warm:
                self.seconds += took
            elif self.step == 0:
                self.first_step = took
            warm = True
            self.step += 1
            now = self._counted()
            if now <= counted:
                raise RuntimeError("the optimizer counted no forward or backward pass in a step")
            self.ge, counted = self.ge + now - counted, now
            losses.append(loss)
            self.diverged = not math.isfinite(loss)
            if self.ge >= budget * len(self.curve) / EVALUATIONS * (1 - 1e-9) or self.diverged:
                self.evaluate(losses)
                losses = []
                yield

    def _one_step(self, closure: Callable[[], Tensor]) -> float:
        assert self.opt is not None
        step: Any = self.opt.step  # torch writes that closures return floats; they return tensors
        loss = step(closure if self.contestant.counts else lambda: self._with_backward(closure))
        value = float(loss.detach() if isinstance(loss, Tensor) else loss)
        if self.device.type != "cpu":
            torch.accelerator.synchronize(self.device)
        return value

    def _with_backward(self, closure: Callable[[], Tensor]) -> Tensor:
        """The closure torch's own optimizers want, counted."""
        assert self.opt is not None
        self.opt.zero_grad()
        loss = closure()
        loss.backward()
        self._torch_ge += STEP
        return loss

    _torch_ge = 0.0

    def _counted(self) -> float:
        """Gradient-equivalents counted since the optimizer was built."""
        counters = getattr(self.opt, "counters", None) if self.contestant.counts else None
        return float(counters.gradient_equivalents) if counters is not None else self._torch_ge

    def evaluate(self, losses: list[float]) -> None:
        """Adds a point to the curve. Nothing here is timed, and no random number is taken from training."""
        model = self.problem.model
        model.eval()
        with torch.no_grad(), torch.random.fork_rng(), returned(self.opt):
            metrics = {name: float(value) for name, value in self.problem.evaluate(model).items()}
        model.train()
        self.diverged |= not math.isfinite(metrics["loss"])
        train = sum(losses) / len(losses) if losses else None
        point = {"step": self.step, "ge": self.ge, "seconds": self.seconds, "train": train, **metrics}
        self.curve.append({k: v if v is not None and math.isfinite(v) else None for k, v in point.items()})

    def checkpoint(self) -> bytes:
        """All that is needed to go on."""
        assert self.opt is not None
        everything: dict[str, Any] = {
            "model": self.problem.model.state_dict(),
            "optimizer": self.opt.state_dict(),
            "curve": json.dumps(self.curve),
            "clocks": (self.step, self.ge, self.seconds, self.first_step),
            "random": torch.get_rng_state(),
        }
        stream = io.BytesIO()
        torch.save(everything, stream)
        return stream.getvalue()

    def record(self, status: str, error: Exception | None = None) -> Record:
        """The result, however far the run came."""
        size = contestants.state_bytes(self.opt, self.params) if self.opt is not None else 0.0
        failure = {"error": first_line(error), "traceback": _trace(error)} if error else {}
        return Record(status, self.curve, self.first_step, size, self.settings, here(self.device), **failure)
