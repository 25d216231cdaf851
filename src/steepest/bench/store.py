"""Where results are kept: one SQLite file.

A finished run is written in one transaction, together with the removal of its checkpoint, so that whenever the process
is killed the file holds whole records only. SQLite's write-ahead log makes this safe for several processes that write
at once; when the last of them leaves in peace the log is folded back into the one file.
"""

from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

from steepest.bench.errors import UsageError
from steepest.bench.run import Record, Run

NAME = "bench.sqlite"
_TABLES = """
CREATE TABLE IF NOT EXISTS runs (id TEXT PRIMARY KEY, config TEXT NOT NULL, record TEXT NOT NULL, finished REAL);
CREATE TABLE IF NOT EXISTS checkpoints (id TEXT PRIMARY KEY, state BLOB NOT NULL);
"""


class Store:
    """The records of a folder; a context manager."""

    def __init__(self, folder: Path) -> None:
        """Opens the store of `folder`, making both if needed.

        Raises:
            UsageError: if the folder cannot be written or the file is not a store.
        """
        self.path = folder / NAME
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, timeout=60.0, isolation_level=None)
            columns = [row[1] for row in self._db.execute("PRAGMA table_info(runs)")]
            if columns not in ([], ["id", "config", "record", "finished"]):  # somebody else's table: leave it alone
                raise UsageError(f"{str(self.path)!r} is not a result store (its table runs has the columns "
                                 f"{', '.join(columns)}); move it away or give another --out")  # fmt: skip
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_TABLES)
        except (OSError, sqlite3.OperationalError) as error:
            raise UsageError(f"--out {str(folder)!r} cannot be written ({error}); give a folder that can") from error
        except sqlite3.DatabaseError as error:
            raise UsageError(
                f"{str(self.path)!r} is not a result store ({error}); move it away or give another --out"
            ) from error

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
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?)", row)
            self._db.execute("DELETE FROM checkpoints WHERE id = ?", (run.id,))
            self._db.execute("COMMIT")
        except BaseException as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if isinstance(error, sqlite3.OperationalError):
                raise self._full(error) from error
            raise

    def _full(self, error: Exception) -> UsageError:
        return UsageError(f"{str(self.path)!r} cannot be written ({error}); finished runs are kept: make room and go on "
                          "with --resume")  # fmt: skip

    def get(self, run: Run) -> Record | None:
        """The record of a run, if it has finished."""
        row = self._db.execute("SELECT record FROM runs WHERE id = ?", (run.id,)).fetchone()
        return Record(**json.loads(row[0])) if row else None

    def count(self) -> int:
        """How many records there are."""
        return int(self._db.execute("SELECT count(*) FROM runs").fetchone()[0])

    def put_checkpoint(self, run: Run, state: bytes) -> None:
        """Keeps the latest checkpoint of a run in progress."""
        try:
            self._db.execute("INSERT OR REPLACE INTO checkpoints VALUES (?, ?)", (run.id, state))
        except sqlite3.OperationalError as error:
            raise self._full(error) from error

    def checkpoint(self, run: Run) -> bytes | None:
        """The latest checkpoint of a run, if there is one."""
        row = self._db.execute("SELECT state FROM checkpoints WHERE id = ?", (run.id,)).fetchone()
        return bytes(row[0]) if row else None


def records_in(folder: Path) -> int:
    """How many records a folder has, without making or changing anything."""
    try:
        if not (folder / NAME).is_file():
            return 0
    except OSError as error:
        raise UsageError(f"--out {str(folder)!r} cannot be used ({error}); give a shorter or another one") from error
    with Store(folder) as store:
        return store.count()
