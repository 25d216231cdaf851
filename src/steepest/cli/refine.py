"""`steepest refine`: from the gradient norms of one run, the schedule of the next."""

import json
import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

import steepest
from steepest.cli.common import number


def refine(
    run: Annotated[Path, typer.Argument(help="The file that steepest.schedule.Norms(opt, path) wrote.")],
    kind: Annotated[
        str | None, typer.Option(help="sgd or adam: which norms, which weights. (by the run's optimizer)")
    ] = None,
    tau: Annotated[
        float,
        typer.Option(
            parser=number(float, 1e-6, 1, "--tau 0.1"),
            metavar="τ",
            help="Smoothing, as a part of the run. (0.1)",
            show_default=False,
        ),
    ] = 0.1,
    steps: Annotated[
        int | None,
        typer.Option(
            parser=number(int, 2, 10**9, "--steps 10000"), metavar="N", help="Length of the schedule. (the run's own)"
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File of the schedule, for steepest.schedule.Refined.load.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """From the gradient norms of one run, the learning-rate schedule for the next."""
    from steepest.bench.errors import UsageError
    from steepest.bench.ranking import many

    try:
        record = steepest.schedule.Record.load(run)
        kind = kind or ("sgd" if "SGD" in record.optimizer else "adam")
        factors = steepest.schedule.stretched("steps", steepest.schedule.refine(record, kind, tau), steps)
    except OSError as error:
        raise UsageError(f"{str(run)!r} cannot be read ({error.strerror}); give the file of a run") from error
    except ValueError as error:
        raise UsageError(str(error)) from error
    made = {"steepest": "schedule", "version": 1, "run": str(run), "optimizer": record.optimizer, "kind": kind,
            "tau": tau, "steps": len(factors), "factors": factors}  # fmt: skip
    if out is not None:
        half = Path(f"{out}.part")
        try:
            half.write_text(json.dumps(made), encoding="utf-8")
            half.replace(out)  # whole or not at all
        except OSError as error:
            with suppress(OSError):
                half.unlink()
            raise UsageError(f"--out {str(out)!r} cannot be written ({error.strerror}); give another file") from error
    if as_json:
        print(json.dumps(made))
        return
    top = factors.index(max(factors))
    quick = next(t for t in range(top, len(factors)) if factors[t] <= 0.5)
    table = Table(box=None, show_header=False, pad_edge=False)
    norms = record.l2 if kind == "sgd" else record.l1
    for name, text in (
        ("run", f"{run}: {many(len(record), 'step')} of {record.optimizer}"),
        (f"norms {'‖g‖₂' if kind == 'sgd' else '‖g‖₁'}", _sparks(norms)),
        ("schedule", f"{_sparks(factors)}  as for {kind}, τ = {tau:g}"),
        ("", f"at the top after {top / len(factors):.0%}, down to one half after {quick / len(factors):.0%}"),
        ("file", str(out) if out else "none; --out FILE keeps it for Refined.load(opt, FILE)"),
    ):
        table.add_row(Text(name, style="dim"), Text(text))
    Console().print(table)


def _sparks(values: Sequence[float], width: int = 40) -> str:
    """A curve as a row of blocks, on its own scale from 0; steps without a number are left blank."""
    parts = [values[k * len(values) // width : max(1, (k + 1) * len(values) // width)] for k in range(width)]
    means = [sum(fine) / len(fine) if (fine := [v for v in p if math.isfinite(v)]) else math.nan for p in parts]
    most = max((m for m in means if m == m), default=0.0) or 1.0
    return "".join(" " if m != m else "▁▂▃▄▅▆▇█"[min(7, int(8 * m / most))] for m in means)
