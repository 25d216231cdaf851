"""Where results are kept: one SQLite file.

A finished run is written in one transaction, together with the removal of its checkpoint, so that whenever the process
is killed the file holds whole records only. SQLite's write-ahead log makes this safe for several processes that write
at once; when the last of them leaves in peace the log is folded back into the one file.

Whatever is wrong with the file (another program's, another format's, read-only, damaged in any place) is one sentence
with its name and what to do. What is read is checked before it is used.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from types import TracebackType
from typing import Any

from steepest.bench.errors import UsageError
from steepest.bench.run import STATUSES, Record, Run, check_curve

NAME = "bench.sqlite"
FORMAT = 1  # of the tables, as `PRAGMA user_version`; files of before it was written have 0 and are the same
_COLUMNS = {"runs": ["id", "config", "record", "finished"], "checkpoints": ["id", "state"]}
_TABLES = f"""
CREATE TABLE IF NOT EXISTS runs (id TEXT PRIMARY KEY, config TEXT NOT NULL, record TEXT NOT NULL, finished REAL);
CREATE TABLE IF NOT EXISTS checkpoints (id TEXT PRIMARY KEY, state BLOB NOT NULL);
PRAGMA user_version = {FORMAT};
"""
_REMEDIES = {
    "full": "finished runs are kept: make room and go on with --resume",
    "I/O": "finished runs are kept: make room and go on with --resume",
    "readonly": "make the file and its folder writable, or give another --out",
    "locked": "another process is at it: when that has ended go on with --resume",
}
_MOVE = "move it away or give another --out"


class Store:
    """The records of a folder; a context manager."""

    def __init__(self, folder: Path) -> None:
        """Opens the store of `folder`, making both if needed.

        Raises:
            UsageError: if the folder cannot be written, or the file is not a store, or one of another format.
        """
        self.path = folder / NAME
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, timeout=60.0, isolation_level=None)
        except (OSError, sqlite3.OperationalError) as error:
            raise UsageError(f"--out {str(folder)!r} cannot be written ({error}); give a folder that can") from error
        try:
            with self._explained("used"):
                self._open()
        except BaseException:
            self._db.close()
            raise

    def _open(self) -> None:
        """Checks whose file it is, makes the tables in a new one, and finds out whether it can be written."""
        has = {table: [row[1] for row in self._db.execute(f"PRAGMA table_info({table})")] for table in _COLUMNS}
        for table, columns in has.items():
            if columns not in ([], _COLUMNS[table]):  # another program's table: leave it alone
                raise UsageError(f"{str(self.path)!r} is not a result store (its table {table} has the columns "
                                 f"{', '.join(columns)}); {_MOVE}")  # fmt: skip
        written = self._db.execute("PRAGMA user_version").fetchone()[0]
        if written not in (0, FORMAT):
            raise UsageError(f"{str(self.path)!r} has format {written}, and this version of steepest reads format {FORMAT}; "
                             f"use the version that wrote it, or {_MOVE}")  # fmt: skip
        if has != _COLUMNS:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.executescript(_TABLES)
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("DELETE FROM checkpoints WHERE 0")  # a file that can only be read is found out now

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Errors of the database as a sentence."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            if not isinstance(error, sqlite3.OperationalError):
                raise UsageError(
                    f"{str(self.path)!r} is not a result store, or a damaged one ({error}); {_MOVE}"
                ) from error
            remedy = next((remedy for word, remedy in _REMEDIES.items() if word in str(error)), _MOVE)
            raise UsageError(f"{str(self.path)!r} cannot be {what} ({error}); {remedy}") from error

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the file."""
        self._db.close()

    def put(self, run: Run, record: Record) -> None:
        """Keeps a finished run and drops its checkpoint, both or neither."""
        row = (run.id, json.dumps(asdict(run)), json.dumps(asdict(record)), time.time())
        with self._explained("written"):
            try:
                self._db.execute("BEGIN IMMEDIATE")
                self._db.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?)", row)
                self._db.execute("DELETE FROM checkpoints WHERE id = ?", (run.id,))
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def get(self, run: Run) -> Record | None:
        """The record of a run, if it has finished.

        Raises:
            UsageError: if what is there is not a record.
        """
        with self._explained("read"):
            row = self._db.execute("SELECT record FROM runs WHERE id = ?", (run.id,)).fetchone()
        try:
            return _record(row[0]) if row else None
        except (TypeError, ValueError) as error:
            raise self._damaged(f"the record of {run}: {error}", "runs", run) from error

    def runs(self) -> list[Run]:
        """The descriptions of all finished runs, the latest last, those under earlier code among them.

        Raises:
            UsageError: if what is there describes no run.
        """
        with self._explained("read"):
            rows = self._db.execute("SELECT config FROM runs ORDER BY finished").fetchall()
        try:
            return [Run(**json.loads(config)) for (config,) in rows]
        except (TypeError, ValueError) as error:
            raise UsageError(f"{str(self.path)!r} is damaged (the description of a run: {error}); {_MOVE}") from error

    def _damaged(self, what: str, table: str, run: Run) -> UsageError:
        return UsageError(
            f"{str(self.path)!r} is damaged ({what}); {_MOVE}, or drop that row and go on with --resume: "
            f"sqlite3 {str(self.path)!r} \"DELETE FROM {table} WHERE id = '{run.id}'\""
        )

    def broken_checkpoint(self, run: Run, why: Exception) -> UsageError:
        """The sentence for a checkpoint of this store that cannot be taken up."""
        return self._damaged(f"the checkpoint of {run}: {why}", "checkpoints", run)

    def count(self) -> int:
        """How many records there are."""
        with self._explained("read"):
            return int(self._db.execute("SELECT count(*) FROM runs").fetchone()[0])

    def put_checkpoint(self, run: Run, state: bytes) -> None:
        """Keeps the latest checkpoint of a run in progress."""
        with self._explained("written"):
            self._db.execute("INSERT OR REPLACE INTO checkpoints VALUES (?, ?)", (run.id, state))

    def checkpoint(self, run: Run) -> bytes | None:
        """The latest checkpoint of a run, if there is one."""
        with self._explained("read"):
            row = self._db.execute("SELECT state FROM checkpoints WHERE id = ?", (run.id,)).fetchone()
        return (row[0] if isinstance(row[0], bytes) else str(row[0]).encode()) if row else None


def _record(text: object) -> Record:
    """A record as it was written, its types checked.

    Raises:
        ValueError: it is not one, with what is wrong.
    """
    given = json.loads(text) if isinstance(text, str) else None
    if not isinstance(given, dict):
        raise ValueError("it is no JSON object")
    if strange := sorted(given.keys() - {f.name for f in fields(Record)}):
        raise ValueError(f"fields that this version does not know: {', '.join(strange)}")
    if given.get("status") not in STATUSES:
        raise ValueError(f"status {given.get('status')!r}")
    check_curve(given.get("curve"), least=given["status"] == "done")
    kinds: dict[str, Any] = {"first_step": (int, float), "state_bytes": (int, float), "settings": dict, "where": dict}
    for name in given.keys() - {"status", "curve"}:
        if not isinstance(given[name], kinds.get(name, str)):
            raise ValueError(f"{name} is {given[name]!r}")
    return Record(**given)


def records_in(folder: Path) -> int:
    """How many records a folder has, without making or changing anything."""
    try:
        if not (folder / NAME).is_file():
            return 0
    except OSError as error:
        raise UsageError(f"--out {str(folder)!r} cannot be used ({error}); give a shorter or another one") from error
    with Store(folder) as store:
        return store.count()
