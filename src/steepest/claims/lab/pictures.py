"""The pictures of claims as SVG text: the experiment, and beside it, on grey, the control."""

from __future__ import annotations

import io
import math
import statistics
from collections.abc import Sequence
from typing import Any

from steepest.claims.lab.base import Claim, Dots, Lines, Measured, Panel

_COLOURS = ("#0b5cad", "#d55e00", "#009e73", "#8a5aa8", "#b98900", "#56b4e9")
_INK, _SOFT, _WASH = "#1a2129", "#5b6672", "#f3f4f6"
_LOOK: Any = {
    "font.family": "sans-serif", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
    "axes.edgecolor": "#9aa3ad", "axes.labelcolor": "#3d4752", "axes.titlesize": 10, "axes.titleweight": "bold",
    "axes.titlelocation": "left", "axes.titlecolor": _INK, "xtick.color": "#3d4752", "ytick.color": "#3d4752",
    "axes.grid": True, "grid.color": "#e6e9ed", "grid.linewidth": 0.8, "legend.frameon": False, "legend.fontsize": 8,
    "svg.fonttype": "path", "svg.hashsalt": "steepest",
}  # fmt: skip
MOST = 160  # points of a curve in the picture


def draw(claim: Claim, measured: Measured, control: Measured) -> str | None:
    """Both runs side by side, or None if the experiment has no picture."""
    panels = [(p, False) for p in measured.panels] + [(p, True) for p in control.panels[:1]]
    if not measured.panels:
        return None
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_LOOK):
        figure = Figure(figsize=(max(11.2, 3.7 * len(panels)), 3.0), layout="constrained")
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for ax, (panel, is_control) in zip(axes, panels, strict=True):
            _lines(ax, panel) if isinstance(panel, Lines) else _dots(ax, panel)
            ax.set_ylabel(panel.y)
            ax.set_title(panel.title)
            if is_control:
                ax.set_facecolor(_WASH)
                ax.set_title("control", color=_SOFT)
            _levels(ax, panel)
        for a, b in _pairs(panels):  # a control is read on the scale of its experiment
            low, high = zip(axes[a].get_ylim(), axes[b].get_ylim(), strict=True)
            for ax in (axes[a], axes[b]):
                ax.set_ylim(min(low), max(high))
        stream = io.StringIO()
        figure.savefig(
            stream, format="svg", transparent=False, facecolor="none", metadata={"Date": None, "Creator": None}
        )
    text = stream.getvalue()
    return text[text.index("<svg") :]


def _pairs(panels: Sequence[tuple[Panel, bool]]) -> list[tuple[int, int]]:
    controls = [i for i, (_, is_control) in enumerate(panels) if is_control]
    return [(0, controls[0])] if controls else []


def _thin(values: Sequence[float]) -> list[int]:
    """Places of at most MOST values, both ends among them."""
    n = len(values)
    return list(range(n)) if n <= MOST else sorted({round(i * (n - 1) / (MOST - 1)) for i in range(MOST)})


def _lines(ax: Any, panel: Lines) -> None:
    for i, (label, (x, seeds)) in enumerate(panel.curves.items()):
        colour = _COLOURS[i % len(_COLOURS)]
        keep = _thin(x)
        columns = [[s[k] for s in seeds if k < len(s) and math.isfinite(s[k])] for k in keep]
        points = [(x[k], c) for k, c in zip(keep, columns, strict=True) if c]
        where = [p for p, _ in points]
        ax.plot(where, [statistics.median(c) for _, c in points], color=colour, lw=1.8, label=label, zorder=4 - i * 0.1)
        if len(seeds) > 1:
            ax.fill_between(
                where, [min(c) for _, c in points], [max(c) for _, c in points], color=colour, alpha=0.14, lw=0
            )
    if "x" in panel.log:
        ax.set_xscale("log")
    if "y" in panel.log:
        ax.set_yscale("log")
    ax.set_xlabel(panel.x)
    ax.legend(loc="best")


def _dots(ax: Any, panel: Dots) -> None:
    columns = list(panel.columns.values())
    seeds = max(map(len, columns))
    for seed in range(seeds):
        ys = [c[seed] if seed < len(c) else math.nan for c in columns]
        ax.plot(range(len(columns)), ys, color="#c9cfd6", lw=0.9, zorder=2)
    for i, column in enumerate(columns):
        ax.plot([i] * len(column), column, "o", ms=5.5, color=_COLOURS[i % len(_COLOURS)], alpha=0.8, mew=0, zorder=3)
        middle = statistics.median(column)
        ax.plot([i - 0.18, i + 0.18], [middle] * 2, color=_COLOURS[i % len(_COLOURS)], lw=2.4, zorder=4)
    if "y" in panel.log:
        ax.set_yscale("log")
    ax.set_xticks(range(len(columns)), list(panel.columns))
    ax.set_xlim(-0.5, len(columns) - 0.5)
    ax.grid(axis="x", visible=False)


def _levels(ax: Any, panel: Panel) -> None:
    for label, y in panel.levels.items():
        ax.axhline(y, color=_SOFT, lw=1, ls=(0, (2, 2)), zorder=1)
        ax.annotate(label, (1, y), xycoords=("axes fraction", "data"), xytext=(-2, 2), textcoords="offset points",
                    ha="right", fontsize=7.5, color=_SOFT)  # fmt: skip
