"""The report: one HTML file that needs nothing else, neither files nor a network, to be read, kept and sent on."""

from __future__ import annotations

import html
import shlex
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from steepest.bench import figures
from steepest.bench.contestants import REFERENCE, Hyper
from steepest.bench.errors import UsageError
from steepest.bench.ranking import Answer, chance, factor, number
from steepest.bench.stats import PROFILE

TRIALS = {"random": "random trials", "tpe": "trials proposed by Optuna's TPE"}
CURVES = {"loss": "Held-out loss", "train": "Training loss", "accuracy": "Held-out accuracy"}


def _hyper(hyper: Hyper) -> str:
    shown = {k: v for k, v in hyper.items() if v is not None}
    return ", ".join(f"{k} = {v:.4g}" if isinstance(v, float) else f"{k} = {v}" for k, v in shown.items()) or "none"


def _settings(answer: Answer) -> list[tuple[str, str, str]]:
    """(method, workload, settings); one row for all workloads where the settings are the same."""
    rows: list[tuple[str, str, str]] = []
    for m in answer.methods:
        used = {w: _hyper(answer.results.records[w, m, 0].settings) for w in answer.workloads}
        if len(set(used.values())) == 1:
            rows.append((m, "all", next(iter(used.values()))))
        else:
            rows += [(m, w, text) for w, text in used.items()]
    return rows


def _everywhere(answer: Answer, key: str) -> str:
    """All machines (or versions) that the records come from; more than one after a resume elsewhere."""
    return "; ".join(sorted({r.where[key] for r in answer.results.records.values() if key in r.where}))


def _troubles(answer: Answer) -> list[tuple[str, str, int, str, str, str]]:
    words = {"failed": "ended in an error"}
    return [(m, w, seed, words.get(r.status, r.status), r.error, r.traceback)
            for (w, m, seed), r in sorted(answer.results.records.items())
            if r.status != "done"]  # fmt: skip


def render(answer: Answer, arguments: Sequence[str]) -> str:
    """The page.

    Args:
        answer: what came out.
        arguments: of the command line, to repeat it.
    """
    environment = Environment(
        loader=PackageLoader("steepest.bench", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"number": number, "factor": factor, "chance": chance}
    s = answer.settings
    return environment.get_template("report.html").render(
        answer=answer,
        reference=REFERENCE,
        colours=figures.colours(answer),
        curves=[
            (
                title,
                [
                    Markup(figures.svg(figures.curves(answer, w, measure)))
                    for w in answer.workloads
                    if measure in figures.measures(answer, w)
                ],
            )
            for measure, title in CURVES.items()
        ],
        ratios=Markup(figures.svg(figures.ratios(answer))) if len(answer.methods) > 1 else "",
        profile=Markup(figures.svg(figures.profiles(answer))) if len(answer.workloads) >= PROFILE else "",
        least=PROFILE,
        tuning=Markup(figures.svg(figures.tuning(answer))) if s.tune > 1 and answer.tuning else "",
        settings=_settings(answer),
        troubles=_troubles(answer),
        rules=f"tuned, {s.tune} {TRIALS[s.sampler]} a method and workload" if s.tune else "untouched defaults",
        jobs=f"{s.jobs} run{'s' if s.jobs > 1 else ''} at a time",
        where={key: _everywhere(answer, key) for key in ("machine", "threads", "versions")},
        command=shlex.join(["steepest", *arguments]),
        date=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        summaries={w.name: html.unescape(w.summary) for w in s.workloads},
    )


def check(out: Path) -> None:
    """Finds out before the first run whether the report can be written after the last.

    Raises:
        UsageError: if a folder stands where the report will go.
    """
    if (out / "report.html").is_dir():
        raise UsageError(f"{str(out / 'report.html')!r} is a folder, the report goes there: move it away or give another "
                         "--out")  # fmt: skip


def write(answer: Answer, arguments: Sequence[str]) -> Path:
    """Writes `report.html` into the bench's folder, whole or not at all."""
    path = answer.settings.out / "report.html"
    draft = path.with_suffix(".part")
    text = render(answer, arguments)
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise UsageError(f"{str(path)!r} cannot be written ({error}); the records are safe beside it: make room for "
                         "the report and run again with --resume") from error  # fmt: skip
    return path
