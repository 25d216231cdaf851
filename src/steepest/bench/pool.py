"""Carrying out many runs, one after the other or in several processes.

A worker is a Python process of its own that reads one run a line and writes one message a line, both JSON: how far it
is, or the sentence for the person if it cannot go on. It writes its results straight into the store. Its input is a pipe
from the parent: when the parent dies, however suddenly, the pipe closes and the worker ends itself, so nothing is left
running. Every worker computes on one thread, because sums over several threads are not the same sums, and these models
are small.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from steepest.bench.errors import UsageError
from steepest.bench.run import BrokenCheckpoint, Run, execute
from steepest.bench.store import Store


@dataclass(frozen=True)
class Event:
    """Something that happened to a run: it is at `part` of its budget, or it is over with a status."""

    run: Run
    part: float
    status: str = ""


Listener = Callable[[Event], None]


def carry_out(runs: Sequence[Run], folder: Path, jobs: int, listen: Listener) -> None:
    """Carries out runs and keeps their records in the store of `folder`.

    Args:
        runs: what to run; a run with a checkpoint in the store goes on from there.
        folder: of the store.
        jobs: processes at a time; 1 means this one.
        listen: is told of progress, from this thread.
    """
    if jobs <= 1 or len(runs) <= 1:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with Store(folder) as store:
                for run in runs:
                    one(run, store, listen)
        finally:
            torch.set_num_threads(threads)
        return
    _in_processes(runs, folder, min(jobs, len(runs)), listen)


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


def _in_processes(runs: Sequence[Run], folder: Path, jobs: int, listen: Listener) -> None:
    messages: queue.Queue[tuple[int, dict[str, Any] | None]] = queue.Queue()
    Store(folder).close()  # two workers that make the file at once would lock each other out
    workers = [_start(folder) for _ in range(jobs)]

    def read(number: int) -> None:
        stream = workers[number].stdout
        assert stream is not None
        for line in stream:
            messages.put((number, json.loads(line)))
        messages.put((number, None))

    readers = [threading.Thread(target=read, args=(number,), daemon=True) for number in range(jobs)]
    for reader in readers:
        reader.start()
    waiting = list(reversed(runs))
    busy: dict[int, Run] = {}
    try:
        for number in range(jobs):
            busy[number] = waiting.pop()
            _send(workers[number], busy[number])
        while busy:
            number, message = messages.get()
            if message is None:
                lost = busy[number]
                raise UsageError(
                    f"a process ended by itself while it ran {lost} (exit code {workers[number].wait()}); "
                    "finished runs are kept: --resume goes on with them"
                )
            if "error" in message:
                raise UsageError(message["error"])
            listen(Event(busy[number], message["part"], message["status"]))
            if message["status"]:
                del busy[number]
                if waiting:
                    busy[number] = waiting.pop()
                    _send(workers[number], busy[number])
    finally:
        for worker in workers:
            assert worker.stdin is not None
            with suppress(BrokenPipeError):  # it has ended already
                worker.stdin.close()  # the worker takes this as its end
        for worker, reader in zip(workers, readers, strict=True):
            worker.wait()
            reader.join()
            assert worker.stdout is not None
            worker.stdout.close()


def _start(folder: Path) -> subprocess.Popen[str]:
    one_thread = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "steepest.bench.pool", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
        env=os.environ | one_thread,
        start_new_session=True,  # Ctrl-C is for the parent, who then closes the pipe
    )


def _send(worker: subprocess.Popen[str], run: Run) -> None:
    assert worker.stdin is not None
    with suppress(BrokenPipeError):  # it has ended already; why stands in its messages
        worker.stdin.write(json.dumps(asdict(run)) + "\n")
        worker.stdin.flush()


def _warm_up() -> None:
    """A process's first matrix product loads libraries; it should not be counted as some method's first step."""
    layer = torch.nn.Linear(8, 8)
    torch.nn.functional.mse_loss(layer(torch.ones(4, 8)), torch.zeros(4, 8)).backward()
    torch.optim.AdamW(layer.parameters()).step()


def work(folder: Path) -> None:
    """The life of a worker process."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a workload prints goes to the error stream and cannot be taken for a message
    torch.set_num_threads(1)
    orders: queue.Queue[Run] = queue.Queue()

    def read() -> None:
        for line in sys.stdin:
            orders.put(Run(**_lists_to_tuples(json.loads(line))))
        os._exit(0)  # the parent is gone, or wants no more

    threading.Thread(target=read, daemon=True).start()
    _warm_up()

    def tell(message: dict[str, Any]) -> None:
        try:
            answers.write(json.dumps(message) + "\n")
        except BrokenPipeError:
            os._exit(0)  # the parent has just died

    try:
        with Store(folder) as store:
            while True:
                one(orders.get(), store, lambda event: tell({"part": event.part, "status": event.status}))
    except UsageError as error:  # the parent says it to the person
        tell({"error": str(error)})


def _lists_to_tuples(config: dict[str, Any]) -> dict[str, Any]:
    hyper = {k: tuple(v) if isinstance(v, list) else v for k, v in config["hyper"].items()}
    return config | {"hyper": hyper}


if __name__ == "__main__":
    work(Path(sys.argv[1]))
