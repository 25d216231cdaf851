"""The pictures of the report, as SVG text: loss curves, and the performance profile.

One colour a method through the whole report; the reference is black and dashed, so that it is found at once.
"""

from __future__ import annotations

import io
import math
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, PercentFormatter

from steepest.bench.contestants import REFERENCE
from steepest.bench.ranking import Answer
from steepest.bench.run import Record
from steepest.bench.stats import R_MAX, profile, ratios_to_best

EDGE = 8.0  # the axis of ratios ends here and at its inverse

# Okabe and Ito's colours, which colour-blind readers can distinguish, then a few more for long lists.
_COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#7B4173",
    "#8C6D31",
    "#637939",
    "#AD494A",
)
_LOOK: Any = {
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9aa3ad",
    "axes.labelcolor": "#3d4752",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": "#1a2129",
    "xtick.color": "#3d4752",
    "ytick.color": "#3d4752",
    "axes.grid": True,
    "grid.color": "#e6e9ed",
    "grid.linewidth": 0.8,
    "svg.fonttype": "path",
    "svg.hashsalt": "steepest",  # the same results draw the same file
}


def colours(answer: Answer) -> dict[str, str]:
    """A colour for every method, in the order they were named."""
    others = [m for m in answer.methods if m != REFERENCE]
    return {REFERENCE: "#1a2129"} | {m: _COLOURS[i % len(_COLOURS)] for i, m in enumerate(others)}


@contextmanager
def _page(width: float, height: float) -> Iterator[tuple[Figure, Axes]]:
    with mpl.rc_context(_LOOK):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.add_subplot()


def svg(figure: Figure) -> str:
    """The figure as an <svg> element that scales with its box."""
    stream = io.StringIO()
    with mpl.rc_context(_LOOK):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    return text[text.index("<svg") :]


#: what a curve can show: key of a record's points → (axis, +1 where less is better and −1 where more is)
MEASURES = {"loss": ("held-out loss", 1), "train": ("training loss", 1), "accuracy": ("held-out accuracy", -1)}


def _middle(records: list[Record], measure: str) -> tuple[list[float], list[float], list[float], list[float]]:
    """(gradient-equivalents, median, lowest, highest) over seeds; a seed that was lost leaves the band."""
    x, middle, low, high = (list[float]() for _ in range(4))
    worst = MEASURES[measure][1] * math.inf
    for i in range(max((len(r.curve) for r in records), default=0)):
        points = [r.curve[i] for r in records if i < len(r.curve)]
        known = [v for p in points if (v := p.get(measure)) is not None]
        if math.isinf(m := statistics.median(known + [worst] * (len(records) - len(known)))):
            if x:
                break
            continue  # of training there is nothing yet before the first step
        x.append(statistics.median(p["ge"] or 0.0 for p in points))
        middle.append(m)
        low.append(min(known))
        high.append(max(known))
    return x, middle, low, high


def measures(answer: Answer, workload: str) -> list[str]:
    """Which measures there are curves of."""
    points = [p for (w, _, _), r in answer.results.records.items() if w == workload for p in r.curve]
    return [measure for measure in MEASURES if any(p.get(measure) is not None for p in points)]


def curves(answer: Answer, workload: str, measure: str = "loss") -> Figure:
    """A measure along gradient-equivalents: the median over seeds, in the band of all seeds.

    A cross is where half of the seeds are lost; a triangle at the top is where a curve leaves the picture.
    """
    colour, budget = colours(answer), answer.budgets[workload]
    with _page(5.6, 3.5) as (figure, ax):
        lines: dict[str, tuple[list[float], list[float]]] = {}
        lowest, start = math.inf, -math.inf
        for m in sorted(answer.methods, key=lambda m: m == REFERENCE):
            x, middle, low, high = _middle([answer.results.records[workload, m, s] for s in answer.seeds], measure)
            if not x:
                continue
            lines[m] = x, middle
            ax.plot(x, middle, color=colour[m], lw=1.7, ls="--" if m == REFERENCE else "-", label=m,
                    zorder=4 if m == REFERENCE else 3)  # fmt: skip
            ax.fill_between(x, low, high, color=colour[m], alpha=0.13, lw=0, zorder=2)
            if x[-1] < 0.97 * budget:
                ax.plot(x[-1:], middle[-1:], "x", color=colour[m], ms=7, mew=2, clip_on=False, zorder=6)
            lowest, start = min(lowest, *low), max(start, middle[0], min(middle[1:], default=-math.inf))
        ax.set(title=workload, xlabel="gradient-equivalents", ylabel=MEASURES[measure][0], xlim=(0, budget))
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        if measure == "accuracy":
            ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
            return figure
        target = answer.targets[workload]
        if math.isfinite(target) and measure == "loss":
            ax.axhline(target, color="#6b7580", lw=1, ls=(0, (1, 2)), zorder=1)
            ax.annotate("target", (1, target), xycoords=("axes fraction", "data"), xytext=(-2, 3),
                        textcoords="offset points", ha="right", fontsize=8.5, color="#6b7580", zorder=5,
                        bbox={"fc": "white", "ec": "none", "pad": 0.6, "alpha": 0.8})  # fmt: skip
            lowest = min(lowest, target)
        _scale(ax, lowest, start)
        top = ax.get_ylim()[1]
        for m, (x, middle) in lines.items():
            if (out := next((t for t, y in zip(x, middle, strict=True) if y > top), None)) is not None:
                ax.plot([out], [top], "^", color=colour[m], ms=7, mew=0, clip_on=False, zorder=6)
    return figure


def _scale(ax: Axes, lowest: float, start: float) -> None:
    """Shows what lies between the lowest loss and the highest of the starts and of what any method came down to.

    So some of each method's curve is in sight, however far above the start it went. Logarithmic if that is much.
    """
    if not (math.isfinite(lowest) and math.isfinite(start) and lowest < start):
        return
    if lowest > 0 and start / lowest > 5:
        ax.set_yscale("log")
        ax.set_ylim(lowest * 0.85, start * 1.3)
        wide = start / lowest > 100
        ax.yaxis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
    else:
        room = start - lowest
        ax.set_ylim(lowest - 0.06 * room, start + 0.1 * room)


def profiles(answer: Answer) -> Figure:
    """On how many workloads is a method within a factor of the best? The area is its score."""
    colour = colours(answer)
    ge = {m: {w: answer.cells[w, m].ge for w in answer.workloads} for m in answer.methods}
    relative = ratios_to_best(ge)
    factors = sorted({1.0, R_MAX, *(r for by in relative.values() for r in by.values() if 1 < r < R_MAX)})
    with _page(5.6, 3.5) as (figure, ax):
        for i, m in enumerate(s.method for s in answer.standings):
            shift = 0.006 * (i - len(answer.methods) / 2)  # lines that lie on each other stay visible
            heights = [h + shift for h in profile(relative[m], factors)]
            ax.step(
                factors, heights, where="post", color=colour[m], lw=1.9, ls="--" if m == REFERENCE else "-", label=m
            )
        ax.set(xlim=(1, R_MAX), ylim=(-0.03, 1.05), title="Performance profile")
        ax.set(xlabel="within this factor of the best method's gradient-equivalents", ylabel="part of the workloads")
        ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}×"))
    return figure


def tuning(answer: Answer) -> Figure:
    """What does tuning give, and how much of it is needed? The expected score of the best of so many trials."""
    colour, most = colours(answer), answer.settings.tune
    with _page(5.6, 3.5) as (figure, ax):
        for m, scores in answer.tuning.items():
            ax.plot(range(1, most + 1), scores, color=colour[m], lw=1.9, ls="--" if m == REFERENCE else "-", label=m,
                    marker="o" if most < 8 else "", ms=4.5)  # fmt: skip
        if most > 8:
            ax.set_xscale("log")
            ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            ax.xaxis.set_minor_formatter(NullFormatter())
        else:
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
        ax.set(xlim=(1, most), ylim=(-0.03, 1.05), title="Score and tuning", xlabel="trials", ylabel="expected score")
    return figure


def _within(log: float) -> tuple[float, str]:
    """The ratio as it is drawn, and its mark: what lies at or beyond an end of the axis is a triangle at that end."""
    bound = math.log(EDGE)
    return math.exp(max(-bound, min(bound, log))), ">" if log >= bound else "<" if log <= -bound else "o"


def _at_the_ends(ratio: float, _: int) -> str:
    """Labels of the axis of ratios: its ends stand for all beyond them."""
    sign = "≥ " if ratio >= EDGE else "≤ " if ratio <= 1 / EDGE else ""
    return f"{sign}{ratio:g}×"


def ratios(answer: Answer) -> Figure:
    """Where is a method faster than the reference, and where slower? One dot a workload; a miss lies at the edge."""
    colour = colours(answer)
    rows = [s.method for s in reversed(answer.standings) if s.method != REFERENCE]
    with _page(5.6, max(2.2, 1.1 + 0.42 * len(rows))) as (figure, ax):
        for y, m in enumerate(rows):
            for log in answer.by_workload(m).values():
                ratio, mark = _within(log)
                ax.plot([ratio], [y], mark, ms=6.5, color=colour[m], alpha=0.65, mew=0)
            if not math.isnan(overall := answer.standing(m).ratio["ge"]):
                ax.plot([_within(math.log(overall))[0]] * 2, [y - 0.27, y + 0.27], color=colour[m], lw=2.4)
        ax.axvline(1, color="#1a2129", lw=1.2, ls="--", zorder=1)
        ax.set_xscale("log", base=2)
        ax.set(xlim=(1 / EDGE * 0.9, EDGE * 1.1), ylim=(-0.6, len(rows) - 0.4), yticks=range(len(rows)))
        ax.set(yticklabels=rows, xlabel=f"gradient-equivalents relative to {REFERENCE}", title="Faster ← → slower")
        ax.xaxis.set_major_formatter(FuncFormatter(_at_the_ends))
        ax.grid(axis="y", visible=False)
    return figure
