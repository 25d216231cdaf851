"""The command line: `steepest bench`, `steepest list`, `steepest claims`, `steepest refine`.

These files only parse the request, check all of it before anything is written, and hand over. Whatever is wrong with
a request is answered by one sentence on the error stream, with the value that was seen and what to do, and exit code 2.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import torch

import steepest
from steepest.cli.extra import GET_EXTRA

try:
    import typer
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text
except ModuleNotFoundError as error:  # said here, for nothing below can be read without them
    sys.stderr.write(f"steepest: {GET_EXTRA.format(missing=error.name)}\n")
    raise SystemExit(2) from None

from steepest.cli.bench import bench
from steepest.cli.common import need_extra, number, one_sentence
from steepest.cli.refine import refine

EVIDENCE = ("held", "not-held", "not-tested", "any", "none")
#: what a learning rate does
STEP, OWN_STEP = "is the length of a step", "multiplies what the method finds (leave it at 1)"
COLOURS = {"held": "green", "not held": "red", "not tested": "yellow"}

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(bench)


@app.callback(invoke_without_command=True)
def _start(
    context: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", help="Show the version and leave.")] = False,
) -> None:
    """Numerical optimization for machine learning: measure methods, list them, run their evidence."""
    if show_version:
        print(f"steepest {version('steepest')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command(name="list")
def list_methods(
    area: Annotated[str | None, typer.Option(help="Only methods of this area.")] = None,
    evidence: Annotated[
        str | None, typer.Option(help="Only methods with a claim on record: held, not-held, not-tested, any; or none.")
    ] = None,
    max_bytes: Annotated[
        float | None,
        typer.Option(
            parser=number(float, 0, 1e6, "--max-bytes 4"), metavar="B", help="At most so much state a parameter."
        ),
    ] = None,
    max_cost: Annotated[
        float | None,
        typer.Option(
            parser=number(float, 0, 1e6, "--max-cost 3"),
            metavar="K",
            help="At most so many gradient-equivalents a step; 3 are one forward and one backward.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """All methods: memory, passes, what lr does, and which claims are their evidence, with the verdict."""
    need_extra()
    from steepest.bench.errors import unknown
    from steepest.claims import BROKEN, about, catalogue, recorded

    areas = sorted({m.area for m in steepest.methods.values()})
    for name, value, allowed in (("area", area, areas), ("evidence", evidence, EVIDENCE)):
        if value is not None and value not in allowed:
            raise unknown(name, value, allowed, f"give one of {', '.join(allowed)}")
    on_record = recorded()["verdicts"]
    verdicts = {m.name: {name: on_record.get(name, {}).get("verdict", "not on record")
                for name in sorted({*m.claims, *about(m.name)})} for m in steepest.methods.values()}  # fmt: skip
    cost = {m.name: m.forwards + 2.0 * m.backwards for m in steepest.methods.values()}
    rows = sorted(
        (m for m in steepest.methods.values()
         if area in (None, m.area) and (max_bytes is None or m.state_bytes <= max_bytes)
         and (max_cost is None or cost[m.name] <= max_cost) and _matches(evidence, verdicts[m.name])),
        key=lambda m: (m.area, m.name),
    )  # fmt: skip
    lr = {m.name: _lr(m) for m in rows}
    _report_broken(BROKEN)
    if as_json:
        keys = ("name", "area", "summary", "state_bytes", "forwards", "backwards", "closure", "cite", "space")
        more = {
            m.name: {
                "gradient_equivalents": cost[m.name],
                "claims": [*verdicts[m.name]],
                "verdicts": verdicts[m.name],
                "catalogue": catalogue(m.name),
                "lr": {"default": lr[m.name][0], "is": lr[m.name][1]},
            }
            for m in rows
        }
        print(json.dumps([{key: getattr(m, key) for key in keys} | more[m.name] for m in rows], indent=1, default=dict))
        return
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("method", no_wrap=True)
    table.add_column("B/param", justify="right", no_wrap=True)
    table.add_column("lr", justify="right", no_wrap=True)
    table.add_column("extra passes", no_wrap=True)
    table.add_column(r"what it is \[catalogue] (→ claims that test it, with the verdict)", overflow="fold")
    for i, m in enumerate(rows):
        if i == 0 or rows[i - 1].area != m.area:
            table.add_row(f"[cyan]{m.area}[/]")
        ids = [(f" [{', '.join(found)}]", "dim")] if (found := catalogue(m.name)) else []
        proof = [(f"\n→ {name}: {verdict}", COLOURS.get(verdict, "dim")) for name, verdict in verdicts[m.name].items()]
        table.add_row(
            f"  {m.name}",
            f"{m.state_bytes:g}",
            f"{'×' * (lr[m.name][1] == OWN_STEP)}{lr[m.name][0]:g}",
            _extra(m.forwards, m.backwards),
            Text.assemble(m.summary, *ids, *proof),
        )
    console = Console()
    console.print(table)
    console.print(
        f"{len(rows)} of {len(steepest.methods)} methods; B/param: bytes of optimizer state per float32 parameter. "
        f"lr: its default; it {STEP}; ×: it {OWN_STEP}. "
        "Torch's own take part in a bench as torch.AdamW, torch.SGD, …",
        style="dim",
    )


def _report_broken(broken: Mapping[str, str]) -> None:
    """A sentence on the error stream for each file of claims that cannot be read."""
    for module, why in broken.items():
        one_sentence(f"the claims of {module} are left out; it cannot be read: {why}")


def _lr(method: Any) -> tuple[float, str]:
    """The default of a method's learning rate, and what it does; a method that finds its own step does not tune it."""
    opt = method.make([torch.nn.Parameter(torch.zeros(1))])
    finds = type(opt.step_size) is not steepest.stepsize.StepSize and "lr" not in method.space
    return opt.defaults["lr"], OWN_STEP if finds else STEP


def _matches(evidence: str | None, verdicts: dict[str, str]) -> bool:
    """Whether a method has the evidence required."""
    if evidence in ("any", "none"):
        return bool(verdicts) == (evidence == "any")
    return evidence is None or evidence.replace("-", " ") in verdicts.values()


def _extra(forwards: float, backwards: float) -> str:
    """What a step costs beyond one forward and one backward pass."""
    parts = [f"{n - 1:+g} {name}" for n, name in ((forwards, "fwd"), (backwards, "bwd")) if n != 1]
    return ", ".join(parts) or "–"


@app.command(name="claims")
def run_claims(
    names: Annotated[list[str] | None, typer.Argument(help="Claims to run. (all)")] = None,
    fast: Annotated[bool, typer.Option("--fast", help="Fewer seeds and steps: numbers, no verdicts.")] = False,
    out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("steepest-claims"),
) -> None:
    """Run the executable claims of papers and say which held; 1 if a file of claims could not be read."""
    need_extra()
    from steepest import claims
    from steepest.bench.errors import UsageError, unknown

    for name in names or []:
        if name not in claims.CLAIMS:
            _report_broken(claims.BROKEN)
            raise unknown("claim", name, claims.CLAIMS, "`steepest list` shows which method has which")
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / ".probe").write_text("")
        (out / ".probe").unlink()
    except OSError as error:
        raise UsageError(f"--out {str(out)!r} cannot be written ({error.strerror}); give a folder that can") from error
    console = Console()
    verdicts = []
    for name in names or claims.CLAIMS:
        with console.status(f"{name}: {claims.CLAIMS[name].sentence}"):
            verdicts += claims.run([name], fast=fast, out=out)
        v = verdicts[-1]
        console.print(
            Text.assemble(
                (f"{v.verdict:<10}", COLOURS.get(v.verdict, "dim")), f" {name}", (f" ({v.seconds:.0f} s)", "dim")
            )
        )
        console.print(Padding(Text(v.reason, style="dim"), (0, 0, 0, 11)))
    page = claims.report(verdicts, out)
    counts = ", ".join(f"{sum(v.verdict == word for v in verdicts)} {word}" for word in COLOURS)
    if small := sum(v.verdict not in COLOURS for v in verdicts):
        counts += f", {small} too small to judge"
    console.print(f"{counts}. Report: {page}", highlight=False, soft_wrap=True)
    if not names and claims.BROKEN:
        _report_broken(claims.BROKEN)
        raise typer.Exit(1)


app.command()(refine)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and leaves with its exit code.

    Args:
        arguments: instead of those of the process.
    """
    from steepest.bench.errors import UsageError

    given = list(sys.argv[1:] if arguments is None else arguments)
    polite: type[Exception] = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
    try:
        code = app(given, prog_name="steepest", standalone_mode=False, obj=given)
    except UsageError as error:
        one_sentence(str(error))
        code = 2
    except (typer.Abort, KeyboardInterrupt):
        code = 130
    except polite as error:
        one_sentence(getattr(error, "format_message", error.__str__)())
        code = 2
    if code == 130:  # by some versions of typer raised, by some returned
        one_sentence("stopped; finished runs are kept: the same command with --resume goes on")
    sys.exit(code if isinstance(code, int) else 0)
