"""Renew the record: run claims in full, those named or all, and write what came out to ``recorded.json``.

    python -m steepest.claims [--out FOLDER] (--all | NAME ...)

The folder gets the page of what was run. A claim that is no longer there leaves the record.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from steepest.claims import CLAIMS, report, run
from steepest.claims.record import RECORDED, keep


def main() -> None:
    """One claim after the other, with a line for each; the record is written after each, so nothing is lost."""
    parser = argparse.ArgumentParser(prog="python -m steepest.claims", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="claims to run")
    parser.add_argument("--all", action="store_true", help="run every claim, for hours, and rewrite the whole record")
    parser.add_argument("--out", type=Path, help="folder for the page")
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in CLAIMS]:
        parser.error(f"no claim is called {unknown[0]!r}; there are {', '.join(CLAIMS)}")
    if given.all == bool(given.names):
        parser.error(f"name the claims to run and record, or give --all for all {len(CLAIMS)} of them, not both")
    verdicts = []
    names = given.names or list(CLAIMS)
    for i, name in enumerate(names):
        verdicts += run([name])
        keep(RECORDED, verdicts[-1:], "python -m steepest.claims", CLAIMS)
        print(f"{i + 1}/{len(names)} {name}: {verdicts[-1].verdict} ({verdicts[-1].seconds:.0f} s)", flush=True)
    if given.out:
        print(report(verdicts, given.out))


if __name__ == "__main__":
    main()
