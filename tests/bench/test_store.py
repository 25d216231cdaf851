"""The store: whole records or none, whenever the process is killed, and every finished run is found again."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from steepest.bench.errors import UsageError
from steepest.bench.pool import Event, carry_out
from steepest.bench.run import Record, Run, execute
from steepest.bench.store import NAME, Store, records_in
from tests.bench.killing import curves, kill_at_random, runs_of

RECORD = Record(
    "done",
    [{"step": 0, "ge": 0.0, "seconds": 0.0, "train": None, "loss": 1.5}],
    0.1,
    8.0,
    {"lr": 0.1},
    {"machine": "abacus"},
)


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    run = Run("w", "m", 0, 60.0)
    with Store(tmp_path) as store:
        assert store.get(run) is None
        store.put(run, RECORD)
    with Store(tmp_path) as store:
        assert store.get(run) == RECORD
        assert store.get(Run("w", "m", 1, 60.0)) is None
    assert records_in(tmp_path) == 1
    assert [p.name for p in tmp_path.iterdir()] == [NAME]  # the log is folded into the one file


def test_a_finished_run_has_no_checkpoint(tmp_path: Path) -> None:
    run, other = Run("w", "m", 0, 60.0), Run("w", "m", 1, 60.0)
    with Store(tmp_path) as store:
        for r in (run, other):
            store.put_checkpoint(r, b"old")
            store.put_checkpoint(r, b"new")
        store.put(run, RECORD)
        assert store.checkpoint(run) is None
        assert store.checkpoint(other) == b"new"


def test_looking_makes_nothing(tmp_path: Path) -> None:
    assert records_in(tmp_path / "no") == 0
    assert not (tmp_path / "no").exists()


def test_a_file_that_is_no_store_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("my holiday notes, long enough to be no database at all" * 50)
    before = (tmp_path / NAME).read_bytes()
    with pytest.raises(UsageError, match="not a result store"):
        Store(tmp_path)
    assert (tmp_path / NAME).read_bytes() == before


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        Store(tmp_path / "file" / "below")


@pytest.mark.xdist_group("processes")
def test_killed_and_resumed_equals_undisturbed(tiny: str) -> None:
    kill_at_random(tiny, times=1, jobs=2)


@pytest.mark.xdist_group("processes")
@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_killed_twenty_times_and_resumed_equals_undisturbed(tiny: str, jobs: int) -> None:
    kill_at_random(tiny, times=20, jobs=jobs)


def test_a_run_stopped_inside_goes_on_from_its_checkpoint(tiny: str, tmp_path: Path, monkeypatch: Any) -> None:
    from steepest.bench import pool

    run = runs_of(tiny)[0]

    class Stop(Exception):
        pass

    def stop(event: Event) -> None:
        if event.part > 0.6:
            raise Stop

    monkeypatch.setattr(pool, "execute", partial(execute, save_every=0.0))
    with pytest.raises(Stop):
        carry_out([run], tmp_path / "out", 1, stop)
    parts: list[float] = []
    carry_out([run], tmp_path / "out", 1, lambda event: parts.append(event.part))
    assert parts[0] > 0.5
    carry_out([run], tmp_path / "quiet", 1, lambda event: None)
    assert curves([run], tmp_path / "out") == curves([run], tmp_path / "quiet")


@pytest.mark.xdist_group("processes")
def test_a_worker_that_dies_is_an_error_and_not_a_wait(tiny: str, tmp_path: Path) -> None:
    runs = runs_of(tiny)[:2]
    Path("tiny_workload.py").write_text("import os\ndef problem(seed):\n    os._exit(3)\n")
    with pytest.raises(
        UsageError, match=r"ended by itself while it ran torch.* \(exit code 3\); finished runs are kept"
    ):
        carry_out(runs, tmp_path / "out", 2, lambda event: None)


@pytest.mark.xdist_group("processes")
def test_what_a_workload_prints_disturbs_nobody(tiny: str, tmp_path: Path) -> None:
    path = Path("tiny_workload.py")
    path.write_text(path.read_text().replace("pause = ", 'print("hello", flush=True); pause = '))
    statuses: list[str] = []
    carry_out(runs_of(tiny)[:2], tmp_path / "out", 2, lambda event: statuses.append(event.status))
    assert statuses.count("done") == 2
