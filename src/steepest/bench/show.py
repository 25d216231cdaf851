"""What a person sees in the terminal while a bench runs, and when it is over."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from steepest.bench.contestants import REFERENCE
from steepest.bench.pool import Event
from steepest.bench.ranking import Answer, chance, factor, number

_STYLE = {"better": "bold green", "worse": "red"}
HINT = "Defaults compare learning rates as much as methods; --tune N gives every method the same number of trials."


class Live:
    """Progress of many runs: one bar for all, one line for each that is running. A context manager."""

    def __init__(self, console: Console, total: int, done: int) -> None:
        self._console, self._total, self._done = console, total, done
        self._bars = Progress(
            TextColumn("{task.description:<44}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._all = self._bars.add_task("all runs", total=total, completed=done)
        self._running: dict[str, TaskID] = {}

    def __enter__(self) -> Live:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self._bars.stop()

    @property
    def done(self) -> int:
        """Runs that are over, earlier ones included."""
        return self._done

    def __call__(self, event: Event) -> None:
        """Takes note of an event. Without a terminal, every tenth part of the whole is a line."""
        run = event.run
        if run.id not in self._running:
            name = f"  {run.workload} · {run.method} · seed {run.seed}"
            self._running[run.id] = self._bars.add_task(name, total=100)
        if not event.status:
            self._bars.update(self._running[run.id], completed=round(100 * event.part))
            return
        self._bars.remove_task(self._running.pop(run.id))
        self._done += 1
        self._total = max(self._total, self._done)
        self._bars.update(self._all, completed=self._done, total=self._total)
        if self._bars.disable and (self._done == self._total or self._done % max(1, self._total // 10) == 0):
            self._console.print(f"{self._done} of {self._total} runs done", highlight=False)


def show(answer: Answer, console: Console) -> None:
    """Prints a table a workload, the standings, and the sentence, which comes last because it is the answer."""
    for workload in answer.workloads:
        console.print(_workload(answer, workload), "")
    console.print(_standings(answer), "")
    _troubles(answer, console)
    console.print(Text.assemble((f"{answer.verdict}. ", "bold"), answer.sentence))
    if not answer.settings.tune:
        console.print(HINT, style="dim")


def _table(title: str, names: Sequence[str], answer: Answer) -> Table:
    """An empty table whose first column is as wide in every table of the answer."""
    look = box.Box("    \n    \n ── \n    \n    \n    \n    \n    \n")
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=look,
        pad_edge=False,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("method", min_width=max(map(len, answer.methods)), no_wrap=True)
    for name in names:
        table.add_column(name, justify="right")
    return table


def _workload(answer: Answer, workload: str) -> Table:
    goal = answer.targets[workload]
    cells = sorted((answer.cells[workload, m] for m in answer.methods), key=lambda c: (c.ge, c.final))
    accuracy = any(c.accuracy is not None for c in cells)
    names = ("steps", "grad-eq.", "seconds", "reached", "final loss", *(["accuracy"] if accuracy else []))
    table = _table(f"{workload}: cost of held-out loss ≤ {number(goal, 4)}", names, answer)
    for c in cells:
        if c.errors == c.seeds:  # nothing was measured
            table.add_row(c.method, *["error"] + ["–"] * (len(names) - 1), style="yellow")
            continue
        row = [c.method, number(c.steps), number(c.ge), number(c.seconds, 2), f"{c.reached}/{c.seeds}"]
        row.append(c.trouble if c.trouble.startswith(str(c.seeds)) else number(c.final))
        if accuracy:
            row.append("–" if c.accuracy is None else f"{c.accuracy:.1%}")
        table.add_row(*row, style="" if c.reached else "dim")
    return table


def _standings(answer: Answer) -> Table:
    names = ("score", "hit", "steps", "grad-eq.", "seconds", "p", "B/param")
    table = _table(f"All workloads: cost relative to {REFERENCE}", names, answer)
    table.add_column("verdict")
    for s in answer.standings:
        ratios = [factor(s.ratio[clock]) for clock in ("step", "ge", "seconds")]
        table.add_row(
            s.method,
            f"{s.score:.2f}",
            f"{s.reached:.0%}",
            *ratios,
            "" if s.method == REFERENCE else chance(s.p),
            number(s.state_bytes),
            Text("" if s.method == REFERENCE else s.verdict, style=_STYLE.get(s.verdict, "")),
        )
    return table


def _troubles(answer: Answer, console: Console) -> None:
    """Every different exception, once, with its workload; and where the first of them was raised."""
    lost = {(m, w, r.error): r.traceback for (w, m, _), r in answer.results.records.items() if r.status == "failed"}
    for method, workload, error in sorted(lost):
        console.print(Text(f"{method} on {workload} ended in an error: {error}", style="yellow"))
    if traces := [trace for trace in lost.values() if trace]:
        console.print(Text(traces[0], style="dim"))
