"""Carrying out many runs: one after the other, in several processes of this machine, or on a cluster.

joblib hands the runs out: its backend `loky` starts processes here, `dask` and `ray` use a cluster that exists. A worker
returns the record of its run, and this process alone writes it into the store, so that records are whole wherever they
were made. On one machine workers also keep checkpoints of the run in progress in the store, and note how far it is in a
small file that this process reads; a cluster need not see any file of this machine, so there a run that was under way when
the sweep was killed begins anew. Every worker computes on one thread, because sums over several threads are not the same
sums, and these models are small.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from joblib import Parallel, delayed, effective_n_jobs, parallel_config
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError

from steepest.bench.errors import UsageError, first_line
from steepest.bench.run import BrokenCheckpoint, Record, Run, execute
from steepest.bench.store import Store
from steepest.bench.workloads.own import find as find_workload

Backend = Literal["loky", "ray", "dask"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)
POLL = 0.1  # seconds between two looks at how far the runs of other processes are, and whether the parent still lives
_KEPT = "finished runs are kept: --resume goes on with them"


@dataclass(frozen=True)
class Event:
    """Something that happened to a run: it is at `part` of its budget, or it is over with a status."""

    run: Run
    part: float
    status: str = ""


Listener = Callable[[Event], None]


def carry_out(runs: Sequence[Run], folder: Path, jobs: int, listen: Listener, backend: Backend = "loky") -> None:
    """Carries out runs and keeps their records in the store of `folder`.

    Args:
        runs: what to run; a run with a checkpoint in the store goes on from there.
        folder: of the store.
        jobs: runs at a time; 1 on this machine means this process, -1 as many as the cluster has processors.
        listen: called with progress, by one thread at a time.
        backend: joblib's: "loky" for processes of this machine, "ray" or "dask" for a cluster that exists.

    Raises:
        UsageError: there is no such cluster, a worker died, or the store cannot be written.
    """
    if not runs:
        return
    with Store(folder) as store:
        if backend == "loky" and (jobs <= 1 or len(runs) == 1):
            threads = torch.get_num_threads()
            torch.set_num_threads(1)
            try:
                for run in runs:
                    one(run, store, listen)
            finally:
                torch.set_num_threads(threads)
        else:
            _in_parallel(runs, store, folder, jobs, listen, backend)


def check(backend: Backend) -> None:
    """Finds out whether runs can be made there before anything else is done.

    Raises:
        UsageError: the package is not installed, or there is no cluster.
    """
    with _connected(backend):
        pass


def one(run: Run, store: Store, listen: Listener) -> None:
    """Carries out one run in this process and stores what came out."""
    try:
        record = execute(
            run,
            store.checkpoint(run),
            save=lambda state: store.put_checkpoint(run, state),
            progress=lambda part: listen(Event(run, part)),
        )
    except BrokenCheckpoint as error:
        raise store.broken_checkpoint(run, error) from error
    store.put(run, record)
    listen(Event(run, 1.0, record.status))


def _in_parallel(
    runs: Sequence[Run], store: Store, folder: Path, jobs: int, listen: Listener, backend: Backend
) -> None:
    """Runs in workers; what comes back is stored here."""
    checkpoints = [store.checkpoint(run) for run in runs]  # only runs that were under way have one
    with tempfile.TemporaryDirectory(prefix="steepest-") as room, _connected(backend):
        shared = [_Shared(folder.resolve(), Path(room, "parts"), row) for row in range(len(runs))]
        np.full(len(runs), np.nan, np.float32).tofile(shared[0].parts)
        calls = [
            delayed(_work)(row, run, checkpoint, str(Path.cwd()), shared[row] if backend == "loky" else None)
            for row, (run, checkpoint) in enumerate(zip(runs, checkpoints, strict=True))
        ]
        with _Progress(runs, shared[0].parts, listen) as progress, _results(calls, jobs, backend) as results:
            try:
                for row, result in results:
                    if isinstance(result, BrokenCheckpoint):
                        raise store.broken_checkpoint(runs[row], result)
                    store.put(runs[row], result)
                    progress.over(row, result.status)
            except UsageError:
                raise
            except TerminatedWorkerError as error:
                codes = dict.fromkeys(re.findall(r"\((-?\d+)\)", str(error)))  # SIGKILL(-9), EXIT(3)
                raise UsageError(f"a process ended by itself while it ran {progress.under_way()} (exit code "
                                 f"{' or '.join(codes) or 'unknown'}); {_KEPT}") from error  # fmt: skip
            except Exception as error:
                if backend == "loky":
                    raise
                raise UsageError(f"a worker of --backend {backend} ended in {first_line(error)}; {_KEPT}") from error


@contextlib.contextmanager
def _results(calls: Sequence[Any], jobs: int, backend: Backend) -> Iterator[Generator[Any, None, None]]:
    """The results of calls as they come; whatever ends it early, Ctrl-C among others, ends the workers too."""
    here: dict[str, Any] = {"initializer": _begin, "initargs": (os.getpid(),)} if backend == "loky" else {}
    most = jobs if backend == "loky" else effective_n_jobs(-1)
    workers = min(most, jobs if jobs > 0 else most, max(2, len(calls)))  # one would be this process
    parallel = Parallel(workers, batch_size=1, return_as="generator_unordered", **here)
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN) if main else None  # inherited: Ctrl-C is for this process
    try:
        results = parallel(calls)
    finally:
        if main:
            signal.signal(signal.SIGINT, before)
    try:
        yield results
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that runs were given up; why is said to the person
            results.close()
        if backend == "loky":  # joblib keeps its workers for the next call, which may be of edited code
            get_reusable_executor(workers, reuse=True).shutdown(wait=True, kill_workers=True)


@contextlib.contextmanager
def _connected(backend: Backend) -> Iterator[None]:
    """joblib with that backend, and the connection to its cluster.

    Raises:
        UsageError: the package is not installed, or there is no cluster.
    """
    with contextlib.ExitStack() as stack:
        if backend == "ray":
            ray, to_ray = _package("ray"), _package("ray", ".util.joblib")
            if not ray.is_initialized():
                try:
                    ray.init(address="auto", log_to_driver=False, logging_level="ERROR")
                except ConnectionError as error:
                    raise UsageError(f"--backend ray found no cluster ({first_line(error)}); start one with `ray start "
                                     "--head`, or name it by RAY_ADDRESS") from error  # fmt: skip
            to_ray.register_ray()
        elif backend == "dask":
            address = _package("dask", ".config").get("scheduler-address", None)
            if address is None:
                raise UsageError(
                    "--backend dask needs the address of a scheduler: DASK_SCHEDULER_ADDRESS=tcp://host:8786"
                )
            try:
                stack.enter_context(_package("distributed").Client(address, set_as_default=True))
            except OSError as error:
                raise UsageError(f"--backend dask found no scheduler at {address} ({first_line(error)}); start it with "
                                 "`dask scheduler`, or name it by DASK_SCHEDULER_ADDRESS") from error  # fmt: skip
        chosen = stack.enter_context(parallel_config(backend=backend))["backend"]
        if backend == "ray":
            chosen.supports_return_generator = True  # off as for all pools, though results of this one come singly
        yield


def _package(name: str, module: str = "") -> Any:
    """A module of a package that is needed for one backend only."""
    try:
        return import_module(name + module)
    except ModuleNotFoundError as error:
        raise UsageError(f"--backend needs the package {error.name}: pip install {name}") from error


@dataclass(frozen=True)
class _Shared:
    """What a worker on this machine shares with its parent: the store, and its row in a file of parts of a budget."""

    folder: Path
    parts: Path
    row: int

    def save(self, run: Run, state: bytes) -> None:
        """Keeps a checkpoint."""
        with Store(self.folder) as store:
            store.put_checkpoint(run, state)

    def note(self, part: float) -> None:
        """Notes how far the run is."""
        with contextlib.suppress(FileNotFoundError):  # the parent has just died, and this process is about to
            np.memmap(self.parts, np.float32, "r+")[self.row] = part


class _Progress:
    """Reports to the listener how far the runs of other processes are; a context manager."""

    def __init__(self, runs: Sequence[Run], parts: Path, listen: Listener) -> None:
        self._runs, self._listen, self._file = runs, listen, np.memmap(parts, np.float32, "r")
        self._over: set[int] = set()
        self._lock, self._end = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _Progress:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _parts(self) -> dict[int, float]:
        """The parts of the runs that have begun and not ended."""
        return {row: part for row, part in enumerate(self._file.tolist()) if part == part and row not in self._over}

    def _watch(self) -> None:
        known: dict[int, float] = {}
        while not self._end.wait(POLL):
            with self._lock:
                now = self._parts()
                for row in now:
                    if now[row] != known.get(row):
                        self._listen(Event(self._runs[row], now[row]))
            known = now

    def over(self, row: int, status: str) -> None:
        """A run has ended; nothing more is reported of it."""
        with self._lock:
            self._over.add(row)
            self._listen(Event(self._runs[row], 1.0, status))

    def under_way(self) -> str:
        """The runs that have begun and not ended, in words."""
        return " or ".join(str(self._runs[row]) for row in self._parts()) or "nothing yet"


def _work(
    row: int, run: Run, checkpoint: bytes | None, home: str, shared: _Shared | None
) -> tuple[int, Record | BrokenCheckpoint]:
    """What a worker does: one run."""
    more: dict[str, Any] = {}
    if shared is not None:
        shared.note(0.0)
        more = {"save": functools.partial(shared.save, run), "progress": shared.note}
    else:
        _begin(None)
        if home not in sys.path:  # where the user's own workloads are, if that machine has the folder
            sys.path.insert(0, home)
        _refuse_other_code(run)
    try:
        return row, execute(run, checkpoint, **more)
    except BrokenCheckpoint as error:
        return row, error


_imported: dict[str, str] = {}  # fingerprints of users' workloads when this process imported them


def _refuse_other_code(run: Run) -> None:
    """Raise a UsageError if a worker of a cluster, which may be older than its caller, would run other code."""
    if run.workload not in _imported:
        _imported[run.workload] = find_workload(run.workload).fingerprint
    for what, here, wanted in ((run.workload, _imported[run.workload], run.fingerprint),
                              ("steepest", version("steepest"), run.version)):  # fmt: skip
        if here != wanted:
            raise UsageError(f"a worker has other code of {what} ({here}) than this process ({wanted}); bring it up to date "
                             "and start the workers anew")  # fmt: skip


@functools.cache
def _begin(parent: int | None) -> None:
    """Once in a worker; a process's first matrix product loads libraries, and that is no method's first step.

    Args:
        parent: the process with which this one ends, however suddenly; None: whoever started this one sees to it.
    """
    torch.set_num_threads(1)
    if parent is not None:
        os.dup2(2, 1)  # what a workload prints does not stand between the tables
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    layer = torch.nn.Linear(8, 8)
    torch.nn.functional.mse_loss(layer(torch.ones(4, 8)), torch.zeros(4, 8)).backward()
    torch.optim.AdamW(layer.parameters()).step()


def _end_with(parent: int) -> None:
    """Ends this process when its parent has ended."""
    while (
        os.getppid() == parent
    ):  # by hand: loky's workers finish their runs first, and then wait five minutes for more
        time.sleep(POLL)
    os._exit(0)
