"""Running claims, and what is kept: JSON files of verdicts, each with its date, versions and processor.

Beside each file of claims lies such a record of the same name, made by ``python -m steepest.claims`` and never by hand.
"""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from datetime import datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from steepest.claims.lab.base import Claim, Verdict, judge
from steepest.claims.lab.index import CLAIMS, INDEX
from steepest.claims.lab.pictures import draw

try:
    import fcntl
except ImportError:  # Windows: two processes that write one record at once are not kept apart there
    fcntl = None  # type: ignore[assignment]

COMMAND = "python -m steepest.claims"
Progress = Callable[[str, int, int], None]


def run(names: Sequence[str] | None = None, fast: bool = False, out: Path | None = None,
        progress: Progress | None = None, claims: dict[str, Claim] | None = None) -> list[Verdict]:  # fmt: skip
    """Run claims, each with its control.

    Args:
        names: which; default: all.
        fast: fewer seeds and steps.
        out: a folder; verdicts are added to ``verdicts.json`` there as they come, so an interrupted run loses nothing.
        progress: called with (name, number, how many) before each claim.
        claims: the index; default: all that come with the library.

    Returns:
        Verdicts in the order of names.

    Raises:
        KeyError: an unknown name.
    """
    index = CLAIMS if claims is None else claims
    chosen = list(index) if names is None else list(names)
    for name in chosen:
        if name not in index:
            raise KeyError(f"no claim is called {name!r}; there are {', '.join(index)}")
    verdicts = []
    for i, name in enumerate(chosen):
        if progress is not None:
            progress(name, i + 1, len(chosen))
        verdict = judge(index[name], fast, draw)
        verdicts.append(replace(verdict, reason=verdict.reason + beside_record(verdict)))
        if out is not None:
            keep(out / "verdicts.json", verdicts[-1:], f"steepest claims{' --fast' if fast else ''}")
    return verdicts


def beside_record(verdict: Verdict) -> str:
    """What the full profile gave, in words, beside a fast run."""
    full = recorded()["verdicts"].get(verdict.claim, {}).get("verdict")
    return f" (Fast profile: fewer seeds and steps. In full, on record: {full}.)" if verdict.fast and full else ""


def plain(verdict: Verdict) -> dict[str, Any]:
    """A verdict without its picture, as JSON has it."""
    record = asdict(verdict)
    del record["picture"]
    return record | {"seconds": round(verdict.seconds, 1)}


@cache
def processor() -> str:
    """Model of the processor, as far as the system reports it: numbers of chaotic runs depend on it."""
    with suppress(OSError):
        if named := re.search(
            r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE
        ):
            return named[1].strip()
    return platform.processor() or platform.machine() or "unknown"


def keep(path: Path, verdicts: Sequence[Verdict], command: str, index: Iterable[str] | None = None) -> None:
    """Add verdicts to a record, in the place of older ones of the same claims; whole or not at all.

    With an index the record is put into its order, and what the index does not have leaves. Processes that write one
    record at the same time wait for each other.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    date = datetime.now().astimezone().strftime("%Y-%m-%d")
    versions = {"steepest": version("steepest"), "torch": torch.__version__, "python": platform.python_version()}
    where = {"date": date, "versions": versions, "processor": processor()}
    new = {v.claim: {k: x for k, x in plain(v).items() if k != "claim"} | where for v in verdicts}
    with _alone_in(path.parent):
        old = json.loads(path.read_text(encoding="utf-8"))["verdicts"] if path.is_file() else {}
        kept = old | new
        content = {
            "command": command,
            "verdicts": kept if index is None else {name: kept[name] for name in index if name in kept},
        }
        draft = path.with_suffix(".part")
        draft.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        draft.replace(path)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Holds the folder's own lock, so that no file is left behind; the system lets go of it if the process dies."""
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def renew(verdict: Verdict) -> None:
    """Put a verdict into the record beside its claim's file; what the file does not claim any more leaves."""
    keep(INDEX.records[verdict.claim], [verdict], COMMAND, INDEX.beside(verdict.claim))


def recorded(path: Path | None = None) -> dict[str, Any]:
    """A record.

    Args:
        path: of a file; default: all the records that come with this version as one, in the order of the index.

    Returns:
        The ``command`` that made it, and the ``verdicts`` by the claims' names.

    >>> recorded()["verdicts"]["extragradient-converges"]["verdict"]
    'held'
    """
    if path is not None:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"verdicts": {}}
        return content
    verdicts: dict[str, Any] = {}
    for file in dict.fromkeys(INDEX.records.values()):
        verdicts |= recorded(file)["verdicts"]
    return {"command": COMMAND, "verdicts": verdicts}
