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
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?)", row)
            self._db.execute("DELETE FROM checkpoints WHERE id = ?", (run.id,))
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise

    def get(self, run: Run) -> Record | None:
        """The record of a run, if it has finished."""
        row = self._db.execute("SELECT record FROM runs WHERE id = ?", (run.id,)).fetchone()
        return Record(**json.loads(row[0])) if row else None

    def count(self) -> int:
        """How many records there are."""
        return int(self._db.execute("SELECT count(*) FROM runs").fetchone()[0])

    def put_checkpoint(self, run: Run, state: bytes) -> None:
        """Keeps the latest checkpoint of a run in progress."""
        self._db.execute("INSERT OR REPLACE INTO checkpoints VALUES (?, ?)", (run.id, state))

    def checkpoint(self, run: Run) -> bytes | None:
        """The latest checkpoint of a run, if there is one."""
        row = self._db.execute("SELECT state FROM checkpoints WHERE id = ?", (run.id,)).fetchone()
        return bytes(row[0]) if row else None


def records_in(folder: Path) -> int:
    """How many records a folder has, without making or changing anything."""
    if not (folder / NAME).is_file():
        return 0
    with Store(folder) as store:
        return store.count()
