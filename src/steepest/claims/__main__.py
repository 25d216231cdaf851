"""Renew the record: run claims in full, those named or all, and write what came out beside their files.

    python -m steepest.claims [--out FOLDER] (--all | NAME ...)

The folder gets the page of what was run. A claim that is no longer in a file leaves its record.
A file that cannot be read is named at the end, with what it raised.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from steepest.claims import BROKEN, CLAIMS, report, run
from steepest.claims.lab.record import renew


def unread() -> str:
    """The files of claims that cannot be read, with why."""
    return "".join(f"; {module} cannot be read: {why}" for module, why in BROKEN.items())


def main() -> None:
    """One claim after the other, with a line for each; the record is written after each, so nothing is lost."""
    parser = argparse.ArgumentParser(prog="python -m steepest.claims", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="claims to run")
    parser.add_argument("--all", action="store_true", help="run every claim, for hours, and rewrite all records")
    parser.add_argument("--out", type=Path, help="folder for the page")
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in CLAIMS]:
        parser.error(f"no claim is called {unknown[0]!r}; there are {', '.join(CLAIMS)}{unread()}")
    if given.all == bool(given.names):
        parser.error(f"name the claims to run and record, or give --all for all {len(CLAIMS)} of them, not both")
    verdicts = []
    names = given.names or list(CLAIMS)
    for i, name in enumerate(names):
        verdicts += run([name])
        renew(verdicts[-1])
        print(f"{i + 1}/{len(names)} {name}: {verdicts[-1].verdict} ({verdicts[-1].seconds:.0f} s)", flush=True)
    if given.out:
        print(report(verdicts, given.out))
    if given.all and BROKEN:
        parser.exit(1, unread().lstrip("; ") + "\n")


if __name__ == "__main__":
    main()
