"""A store of results that is damaged, of another format or cannot be written: one sentence with the file and the mend.

Exit code 2, no traceback, and the file is left as it was: its records may be worth saving by hand.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
import torch

from steepest import cli
from steepest.bench import pool, run
from steepest.bench.errors import UsageError
from steepest.bench.run import Record, Run, execute
from steepest.bench.store import FORMAT, NAME, Store

OWN = """
import torch
from steepest.bench import Problem, minibatches

x = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
y = x.sum(1, keepdim=True)


def ridge(seed):
    return Problem(torch.nn.Linear(4, 1), lambda m, b: (m(b[0]) - b[1]).square().mean(), minibatches((x, y), 16, seed),
                   lambda m: {"loss": (m(x) - y).square().mean().item()}, budget=60)
"""
LINE = ("bench", "-w", "damaged_own:ridge", "-m", "torch.SGD", "--seeds", "2", "--out", "o")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a workload and a store of one run and one checkpoint."""
    (tmp_path / "damaged_own.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    sys.modules.pop("damaged_own", None)


def runs() -> list[Run]:
    from steepest.bench.plan import Settings, reported
    from steepest.bench.workloads.own import find

    return reported(Settings((find("damaged_own:ridge"),), ("torch.SGD", "torch.AdamW"), 2, Path("o")), {})


def fill() -> None:
    """Finishes the first run and keeps a checkpoint of the second."""
    one, two = runs()[:2]
    states: list[bytes] = []
    execute(two, save=states.append, save_every=0.0)
    with Store(Path("o")) as store:
        store.put(one, execute(one))
        store.put_checkpoint(two, states[3])


def left(*line: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(line)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def sql(*texts: str) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        with closing(sqlite3.connect(path)) as db, db:
            for text in texts:
                db.execute(text)

    return spoil


def spoilt(change: Callable[[bytearray], object]) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        data = bytearray(path.read_bytes())
        change(data)
        path.write_bytes(data)

    return spoil


def record(change: Callable[[dict[str, object]], object]) -> Callable[[Path], None]:
    """Changes the one record that is there."""

    def spoil(path: Path) -> None:
        with closing(sqlite3.connect(path)) as db, db:
            fields = json.loads(db.execute("SELECT record FROM runs").fetchone()[0])
            change(fields)
            db.execute("UPDATE runs SET record = ?", (json.dumps(fields),))

    return spoil


def checkpoint(change: Callable[[bytes], object]) -> Callable[[Path], None]:
    """Changes the one checkpoint that is there."""

    def spoil(path: Path) -> None:
        with closing(sqlite3.connect(path)) as db, db:
            state = db.execute("SELECT state FROM checkpoints").fetchone()[0]
            db.execute("UPDATE checkpoints SET state = ?", (change(state),))

    return spoil


def pickled(content: object) -> bytes:
    import io

    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def edited(state: bytes, **change: object) -> bytes:
    import io

    kept = torch.load(io.BytesIO(state), weights_only=True)
    return pickled(kept | change)


def flipped(state: bytes) -> bytes:
    """One bit of a weight is another."""
    data = bytearray(state)
    place = data.index(b"data/0") + 80
    data[place] ^= 1
    return bytes(data)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


CURVE = {"step": 0, "ge": 0.0, "seconds": 0.0, "train": None, "loss": 1.0}
DAMAGE: dict[str, Callable[[Path], None]] = {
    "no database": spoilt(lambda d: d.__setitem__(slice(None), b"these are my notes\n" * 300)),
    "empty of tables, other's": sql("DROP TABLE runs", "CREATE TABLE runs (kilometres REAL)"),
    "other's checkpoints": sql("DROP TABLE checkpoints", "CREATE TABLE checkpoints (id TEXT)"),
    "garbage from page 2": spoilt(lambda d: d.__setitem__(slice(4096, None), os.urandom(len(d) - 4096))),
    "garbage from page 3": spoilt(lambda d: d.__setitem__(slice(8192, None), os.urandom(len(d) - 8192))),
    "garbage header": spoilt(lambda d: d.__setitem__(slice(0, 100), os.urandom(100))),
    "cut in a page": spoilt(lambda d: d.__delitem__(slice(5000, None))),
    "a folder": a_folder,
    "later format": sql(f"PRAGMA user_version = {FORMAT + 1}"),
    "record cut": sql("UPDATE runs SET record = '{\"status\": '"),
    "record a number": sql("UPDATE runs SET record = 3"),
    "record a list": sql("UPDATE runs SET record = '[1, 2]'"),
    "record no text": sql("UPDATE runs SET record = x'ff00ff'"),
    "record of other fields": record(lambda r: r.update(new=1)),
    "unknown status": record(lambda r: r.update(status="finished")),
    "done without a curve": record(lambda r: r.update(curve=[])),
    "curve of words": record(lambda r: r.update(curve="none")),
    "point without a clock": record(lambda r: r.update(curve=[{k: v for k, v in CURVE.items() if k != "ge"}])),
    "point of a word": record(lambda r: r.update(curve=[CURVE | {"loss": "low"}])),
    "settings a list": record(lambda r: r.update(settings=[1])),
    "state bytes a word": record(lambda r: r.update(state_bytes="8")),
    "garbage checkpoint": checkpoint(lambda s: os.urandom(len(s))),
    "empty checkpoint": checkpoint(lambda s: b""),
    "cut checkpoint": checkpoint(lambda s: s[: len(s) // 2]),
    "flipped checkpoint": checkpoint(flipped),
    "checkpoint of text": sql("UPDATE checkpoints SET state = 'text'"),
    "checkpoint of code": checkpoint(lambda s: pickled(partial(print, "planted"))),
    "checkpoint of a tensor": checkpoint(lambda s: pickled(torch.ones(3))),
    "checkpoint of another model": checkpoint(lambda s: edited(s, model=torch.nn.Linear(3, 1).state_dict())),
    "checkpoint without a curve": checkpoint(lambda s: edited(s, curve="[]")),
    "checkpoint without an optimizer": checkpoint(lambda s: edited(s, optimizer=3)),
    "checkpoint of three clocks": checkpoint(lambda s: edited(s, clocks=(1, 2.0, 3.0))),
}  # fmt: skip


@pytest.mark.parametrize(("name", "jobs"), [*((name, "1") for name in DAMAGE), ("garbage checkpoint", "2")])
def test_a_damaged_store(name: str, jobs: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is named, with what to do; torch's advice to switch its safety off is not passed on."""
    fill()
    DAMAGE[name](Path("o", NAME))
    before = Path("o", NAME).read_bytes() if Path("o", NAME).is_file() else b""
    assert left(*LINE, "--resume", "--jobs", jobs) == 2
    said = capsys.readouterr()
    assert said.err.startswith("steepest: "), said.err
    assert said.err.count("\n") == 1, said.err
    assert f"o/{NAME}" in said.err or "--out 'o'" in said.err, said.err
    assert "give another --out" in said.err or "give a folder" in said.err
    assert "weights_only" not in said.err
    if "heckpoint" not in name:
        assert said.out == ""
        assert not before or Path("o", NAME).read_bytes() == before
    assert not Path(f"o/{NAME}-wal").exists()


def test_the_row_can_be_dropped_as_the_sentence_says(capsys: pytest.CaptureFixture[str]) -> None:
    """What it advises is a statement that works, and the finished run is kept."""
    fill()
    DAMAGE["garbage checkpoint"](Path("o", NAME))
    assert left(*LINE, "--resume", "--jobs", "1") == 2
    statement = capsys.readouterr().err.split('"')[-2]
    sql(statement)(Path("o", NAME))
    assert left(*LINE, "--resume", "--jobs", "1") == 0
    assert "1 of 4 runs are there already" in capsys.readouterr().out


def test_a_store_of_before_there_was_a_format_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    """Such files have version 0, and records without the fields that came later."""
    fill()
    sql("PRAGMA user_version = 0")(Path("o", NAME))
    known = {"status", "curve", "first_step", "state_bytes", "settings", "where", "error"}
    record(lambda r: [r.pop(k) for k in r.keys() - known])(Path("o", NAME))
    assert left(*LINE, "--resume", "--jobs", "1") == 0
    assert "1 of 4 runs are there already" in capsys.readouterr().out


def test_a_store_that_can_only_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found out when it is opened, not after the first run; written as sqlite says it where root may write anything."""
    fill()
    connect = sqlite3.connect

    def reading(path: Path, **more: object) -> sqlite3.Connection:
        return connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)

    monkeypatch.setattr(sqlite3, "connect", reading)
    with pytest.raises(
        UsageError, match=rf"o/{NAME}' cannot be used .*readonly.*make the file and its folder writable"
    ):
        Store(Path("o"))


class Full(sqlite3.Connection):
    """A disk with no room for records."""

    def execute(self, statement: str, *more: object) -> sqlite3.Cursor:
        if statement.startswith("INSERT"):
            raise sqlite3.OperationalError("database or disk is full")
        return super().execute(statement, *more)  # type: ignore[arg-type]


def test_a_full_disk_is_told_with_its_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a record as of a checkpoint."""
    one = runs()[0]
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Full))
    with Store(Path("o")) as store:
        for put in (lambda: store.put(one, Record("done", [])), lambda: store.put_checkpoint(one, b"")):
            with pytest.raises(
                UsageError, match=r"written \(database or disk is full\).*make room and go on with --resume"
            ):
                put()


@pytest.mark.parametrize("room", [50_000, 0], ids=["in the middle", "at once"])
def test_a_full_disk_under_several_processes(room: int, capfd: pytest.CaptureFixture[str]) -> None:
    """The cause is said once, by the parent; no worker prints a traceback."""
    resource = pytest.importorskip("resource", reason="POSIX only")
    if not room:
        fill()
        room = Path("o", NAME).stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        assert left(*LINE[:-4], "--seeds", "9", "--out", "o", "--jobs", "2", "--resume") == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    said = capfd.readouterr().err
    assert said.count("\n") == 1, said
    assert f"o/{NAME}' cannot be" in said
    assert "make room" in said
    assert "ended by itself" not in said
    assert left(*LINE[:-4], "--seeds", "9", "--out", "o", "--jobs", "2", "--resume") == 0


def test_a_store_that_is_spoilt_under_way_is_told_by_the_parent(capfd: pytest.CaptureFixture[str]) -> None:
    """A worker that cannot keep a checkpoint says why, and prints no traceback."""
    own = Path("damaged_own.py")
    eager = "from steepest.bench import run\nrun.execute.__defaults__ = (*run.execute.__defaults__[:-1], 0.0)\n"
    own.write_text(own.read_text() + eager)

    def spoil(event: pool.Event) -> None:
        (Path("o") / NAME).write_bytes(b"not a database at all" * 500)

    defaults = run.execute.__defaults__
    try:
        with pytest.raises(UsageError, match=f"o/{NAME}' (is not a result store|cannot be|is damaged)"):
            pool.carry_out(runs(), Path("o"), 2, spoil)
    finally:
        run.execute.__defaults__ = defaults
    assert "Traceback" not in capfd.readouterr().err


def test_a_copy_goes_on_where_the_first_was(tmp_path: Path) -> None:
    """Nothing in a store is bound to its place."""
    fill()
    shutil.copytree("o", "p")
    told: list[float] = []
    pool.carry_out([runs()[1]], Path("p"), 1, lambda event: told.append(event.part))
    assert min(told) > 3 / run.EVALUATIONS
