"""The command line: `steepest bench`, `steepest list`, `steepest claims`, `steepest refine`.

This file only reads what was asked, checks all of it before anything is written, and hands over. Whatever is wrong with
a request is answered by one sentence on the error stream, with the value that was seen and the mend, and exit code 2.
"""

import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import steepest

EXTRA = ("typer", "rich", "sklearn", "matplotlib", "jinja2")
EVIDENCE = ("held", "not-held", "not-tested", "any", "none")
COLOURS = {"held": "green", "not held": "red", "not tested": "yellow"}
GET_EXTRA = 'the command line needs {missing}: pip install "steepest[bench]"'

try:
    import typer
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text
except ModuleNotFoundError as error:  # said here, for nothing below can be read without them
    sys.stderr.write(f"steepest: {GET_EXTRA.format(missing=error.name)}\n")
    raise SystemExit(2) from None

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def _number(kind: type, low: float, high: float, example: str) -> Callable[[str], Any]:
    """A reader of numbers that says what it saw and what it wants."""
    name = "whole number" if kind is int else "number"

    def read(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            raise typer.BadParameter(f"got {text!r}; give a {name} from {low:g} to {high:g}, for example {example}")
        return value

    return read


def _one_sentence(text: str) -> None:
    sys.stderr.write(f"steepest: {' '.join(text.split())}\n")


def _need_extra() -> None:
    """Says what to install before anything is begun that would find it missing in the middle."""
    missing = [name for name in EXTRA if find_spec(name) is None]
    if missing:
        _one_sentence(GET_EXTRA.format(missing=", ".join(missing)))
        raise typer.Exit(2)


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


@app.command()
def bench(
    context: typer.Context,
    workload: Annotated[
        list[str] | None,
        typer.Option("--workload", "-w", help="A built-in workload, or yours as module:function. May be repeated."),
    ] = None,
    methods: Annotated[
        str | None, typer.Option("--methods", "-m", help="Names with commas between; see `steepest list`.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(parser=_number(int, 1, 1000, "--seeds 5"), metavar="N", help="Seeds a method. (3)")
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(
            parser=_number(float, 3, 1e12, "--budget 1500"),
            metavar="K",
            help="Gradient-equivalents a run; 3 are one plain step. (each workload's own)",
        ),
    ] = None,
    tune: Annotated[
        int,
        typer.Option(
            parser=_number(int, 0, 10_000, "--tune 20"),
            metavar="N",
            help="Random trials for every method before it is measured. (0: its defaults)",
            show_default=False,
        ),
    ] = 0,
    jobs: Annotated[
        int | None,
        typer.Option(
            parser=_number(int, 1, 1024, "--jobs 2"), metavar="J", help="Runs at a time. (all cores, up to 8)"
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the results that --out has already.")] = False,
    out: Annotated[Path, typer.Option(help="Folder of the results and the report.")] = Path("steepest-bench"),
    quick: Annotated[bool, typer.Option("--quick", help="A first look: fewer workloads and methods.")] = False,
) -> None:
    """Which optimizer should I use, and by how much? Run methods on workloads and say it.

    Built-in workloads: digits-mlp, digits-conv, digits-finetune, digits-autoencoder, digits-vae, digits-vit, breast-cancer, \
breast-cancer-raw, diabetes, wine, photo-completion, photo-coordinates, flower-denoise, stdlib-tokens, stdlib-lm, \
stdlib-gru, docstrings-topic, docstrings-lstm, fashion-mnist, minilm-finetune, \
stdlib-long, stdlib-names, spoken-numbers, glyphs-resnet, glyphs-finetune, burgers-pinn. A \
workload of your own is a function that takes a seed and returns a \
steepest.bench.Problem.
    """
    _need_extra()
    from steepest.bench import plan, report, show
    from steepest.bench.answer import Answer, many
    from steepest.bench.errors import UsageError
    from steepest.bench.store import Store, records_in

    console = Console()
    chosen = plan.choose_workloads(workload or [], quick, lambda text: console.print(text, style="yellow"))
    settings = plan.Settings(
        chosen,
        plan.choose_methods(methods, quick),
        seeds or 3,
        out,
        budget,
        tune,
        jobs or min(8, os.cpu_count() or 1),
    )
    if (had := records_in(out)) and not resume:
        raise UsageError(
            f"--out {str(out)!r} has {had} finished runs already; add --resume to go on with them, "
            "or give another --out"
        )
    report.check(out)
    Store(out).close()  # a folder that cannot be written is found out now
    total, done = plan.count(settings), plan.count_done(settings)
    console.print(
        " × ".join(
            many(n, noun)
            for n, noun in (
                (len(settings.workloads), "workload"),
                (len(settings.methods), "method"),
                (settings.seeds, "seed"),
            )
        )
        + (f", {tune} trials each" if tune else "")
        + (f"; {done} of {total} runs are there already" if done else f"; {total} runs"),
        highlight=False,
    )
    with show.Live(console, total, done) as live:
        results = plan.bench(settings, live)
    answer = Answer(results)
    show.tell(answer, console)
    page = report.write(answer, [a for a in context.obj if a != "--resume"])  # what repeats this, from nothing
    console.print(f"\nReport: {page}   Records: {out / 'bench.sqlite'}", highlight=False, soft_wrap=True)


@app.command(name="list")
def list_methods(
    area: Annotated[str | None, typer.Option(help="Only methods of this area.")] = None,
    evidence: Annotated[
        str | None, typer.Option(help="Only methods with a claim on record: held, not-held, not-tested, any; or none.")
    ] = None,
    max_bytes: Annotated[
        float | None,
        typer.Option(
            parser=_number(float, 0, 1e6, "--max-bytes 4"), metavar="B", help="At most so much state a parameter."
        ),
    ] = None,
    max_cost: Annotated[
        float | None,
        typer.Option(
            parser=_number(float, 0, 1e6, "--max-cost 3"),
            metavar="K",
            help="At most so many gradient-equivalents a step; 3 are one forward and one backward.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """All methods: what they cost in memory and passes, and which claims are their evidence, with the verdict."""
    _need_extra()
    from steepest.bench.errors import unknown
    from steepest.claims import about, recorded

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
    if as_json:
        keys = ("name", "area", "summary", "state_bytes", "forwards", "backwards", "closure", "cite", "space")
        more = {m.name: {"gradient_equivalents": cost[m.name], "claims": [*verdicts[m.name]], "verdicts": verdicts[m.name]}
                for m in rows}  # fmt: skip
        print(json.dumps([{key: getattr(m, key) for key in keys} | more[m.name] for m in rows], indent=1, default=dict))
        return
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("method", no_wrap=True)
    table.add_column("B/param", justify="right", no_wrap=True)
    table.add_column("extra passes", no_wrap=True)
    table.add_column("what it is (→ claims that test it, with the verdict)", overflow="fold")
    for i, m in enumerate(rows):
        if i == 0 or rows[i - 1].area != m.area:
            table.add_row(f"[cyan]{m.area}[/]")
        proof = [(f"\n→ {name}: {verdict}", COLOURS.get(verdict, "dim")) for name, verdict in verdicts[m.name].items()]
        table.add_row(
            f"  {m.name}", f"{m.state_bytes:g}", _extra(m.forwards, m.backwards), Text.assemble(m.summary, *proof)
        )
    console = Console()
    console.print(table)
    console.print(
        f"{len(rows)} of {len(steepest.methods)} methods; B/param: bytes of optimizer state per float32 parameter. "
        "Torch's own take part in a bench as torch.AdamW, torch.SGD, …",
        style="dim",
    )


def _matches(evidence: str | None, verdicts: dict[str, str]) -> bool:
    """Whether a method has the evidence asked for."""
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
    fast: Annotated[bool, typer.Option("--fast", help="Fewer seeds and steps.")] = False,
    out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("steepest-claims"),
) -> None:
    """Run the executable claims of papers and say which held."""
    _need_extra()
    from steepest import claims
    from steepest.bench.errors import UsageError, unknown

    for name in names or []:
        if name not in claims.CLAIMS:
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
            Text.assemble((f"{v.verdict:<10}", COLOURS[v.verdict]), f" {name}", (f" ({v.seconds:.0f} s)", "dim"))
        )
        console.print(Padding(Text(v.reason, style="dim"), (0, 0, 0, 11)))
    page = claims.report(verdicts, out)
    counts = ", ".join(f"{sum(v.verdict == word for v in verdicts)} {word}" for word in COLOURS)
    console.print(f"{counts}. Report: {page}", highlight=False, soft_wrap=True)


@app.command()
def refine(
    run: Annotated[Path, typer.Argument(help="The file that steepest.schedule.Norms(opt, path) wrote.")],
    kind: Annotated[
        str | None, typer.Option(help="sgd or adam: which norms, which weights. (by the run's optimizer)")
    ] = None,
    tau: Annotated[
        float,
        typer.Option(
            parser=_number(float, 1e-6, 1, "--tau 0.1"),
            metavar="τ",
            help="Smoothing, as a part of the run. (0.1)",
            show_default=False,
        ),
    ] = 0.1,
    steps: Annotated[
        int | None,
        typer.Option(
            parser=_number(int, 2, 10**9, "--steps 10000"), metavar="N", help="Length of the schedule. (the run's own)"
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File of the schedule, for steepest.schedule.Refined.load.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """From the gradient norms of one run, the learning-rate schedule for the next."""
    from steepest.bench.answer import many
    from steepest.bench.errors import UsageError

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
    for name, told in (
        ("run", f"{run}: {many(len(record), 'step')} of {record.optimizer}"),
        (f"norms {'‖g‖₂' if kind == 'sgd' else '‖g‖₁'}", _sparks(norms)),
        ("schedule", f"{_sparks(factors)}  as for {kind}, τ = {tau:g}"),
        ("", f"at the top after {top / len(factors):.0%}, down to one half after {quick / len(factors):.0%}"),
        ("file", str(out) if out else "none; --out FILE keeps it for Refined.load(opt, FILE)"),
    ):
        table.add_row(Text(name, style="dim"), Text(told))
    Console().print(table)


def _sparks(values: Sequence[float], width: int = 40) -> str:
    """A curve as a row of blocks, on its own scale from 0; steps without a number are left blank."""
    parts = [values[k * len(values) // width : max(1, (k + 1) * len(values) // width)] for k in range(width)]
    means = [sum(fine) / len(fine) if (fine := [v for v in p if math.isfinite(v)]) else math.nan for p in parts]
    most = max((m for m in means if m == m), default=0.0) or 1.0
    return "".join(" " if m != m else "▁▂▃▄▅▆▇█"[min(7, int(8 * m / most))] for m in means)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and leaves with its exit code.

    Args:
        arguments: instead of those of the process.
    """
    from steepest.bench.errors import UsageError

    given = list(sys.argv[1:] if arguments is None else arguments)
    polite: type[Exception] = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
    try:
        code = app(given, standalone_mode=False, obj=given)
    except UsageError as error:
        _one_sentence(str(error))
        code = 2
    except (typer.Abort, KeyboardInterrupt):
        code = 130
    except polite as error:
        _one_sentence(getattr(error, "format_message", error.__str__)())
        code = 2
    if code == 130:  # by some versions of typer raised, by some returned
        _one_sentence("stopped; finished runs are kept: the same command with --resume goes on")
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
