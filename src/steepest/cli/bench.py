"""`steepest bench`: which optimizer, and by how much?"""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from steepest.cli.common import need_extra, number


def bench(
    context: typer.Context,
    workload: Annotated[
        list[str] | None,
        typer.Option(
            "--workload",
            "-w",
            help="A built-in workload, or yours as module:function: this runs that code. May be repeated.",
        ),
    ] = None,
    methods: Annotated[
        str | None, typer.Option("--methods", "-m", help="Names with commas between; see `steepest list`.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(parser=number(int, 1, 1000, "--seeds 5"), metavar="N", help="Seeds a method. (3)")
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(
            parser=number(float, 3, 1e12, "--budget 1500"),
            metavar="K",
            help="Gradient-equivalents a run; 3 are one plain step. (each workload's own)",
        ),
    ] = None,
    tune: Annotated[
        int,
        typer.Option(
            parser=number(int, 0, 10_000, "--tune 20"),
            metavar="N",
            help="Trials for every method before it is measured. (0: its defaults)",
            show_default=False,
        ),
    ] = 0,
    sampler: Annotated[
        Literal["random", "tpe"],
        typer.Option(help="Where trials come from: drawn at random, or proposed by Optuna from the trials before."),
    ] = "random",
    jobs: Annotated[
        int | None,
        typer.Option(
            parser=number(int, 1, 1024, "--jobs 2"),
            metavar="J",
            help="Runs at a time. (all cores, up to 8; all of a cluster)",
        ),
    ] = None,
    backend: Annotated[
        Literal["loky", "ray", "dask"],
        typer.Option(help="Where runs are made: processes of this machine, or a cluster that exists."),
    ] = "loky",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the results that --out has already.")] = False,
    out: Annotated[Path, typer.Option(help="Folder of the results and the report.")] = Path("steepest-bench"),
    quick: Annotated[
        bool, typer.Option("--quick", help="A first look: half of the workloads. It names no winner.")
    ] = False,
) -> None:
    """Which optimizer should I use, and by how much? Run methods on workloads and say it.

    Built-in workloads: digits-mlp, digits-conv, digits-finetune, digits-autoencoder, digits-vae, digits-vit, breast-cancer, \
breast-cancer-raw, diabetes, wine, photo-completion, photo-coordinates, flower-denoise, stdlib-tokens, stdlib-lm, \
stdlib-gru, docstrings-topic, docstrings-lstm, docstrings-gpt, fashion-mnist, minilm-finetune, \
stdlib-long, stdlib-names, stdlib-calls, spoken-numbers, glyphs-resnet, glyphs-finetune, burgers-pinn. A \
workload of your own is a function that takes a seed and returns a \
steepest.bench.Problem. To name it is to run its file's code, here and in every process of --jobs: name files that you \
trust.
    """
    need_extra()
    from steepest.bench import plan, pool, report, show, tuning
    from steepest.bench.errors import UsageError
    from steepest.bench.ranking import Answer, many
    from steepest.bench.store import Store, records_in

    console = Console()
    chosen = plan.choose_workloads(workload or [], quick, lambda text: console.print(text, style="yellow"))
    settings = plan.Settings(
        chosen,
        plan.choose_methods(methods),
        seeds or 3,
        out,
        budget,
        tune,
        jobs or (min(8, os.cpu_count() or 1) if backend == "loky" else -1),
        quick,
        sampler,
        backend,
    )
    if (had := records_in(out)) and not resume:
        raise UsageError(
            f"--out {str(out)!r} has {had} finished runs already; add --resume to go on with them, "
            "or give another --out"
        )
    pool.check(backend)
    if sampler == "tpe":
        tuning.check()
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
    for text in plan.void(settings):
        console.print(text, style="yellow", highlight=False)
    with show.Live(console, total, done) as live:
        results = plan.bench(settings, live)
    answer = Answer(results)
    show.show(answer, console)
    page = report.write(answer, [a for a in context.obj if a != "--resume"])  # what repeats this, from nothing
    console.print(f"\nReport: {page}   Records: {out / 'bench.sqlite'}", highlight=False, soft_wrap=True)
