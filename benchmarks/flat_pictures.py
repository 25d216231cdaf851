"""The pictures of docs/flatness.md and the rows of its tables, from the recorded results and nothing else.

python benchmarks/flat_pictures.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

ROOT = Path(__file__).parents[1] / "docs"
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#9aa3ad"
LOOK: Any = {
    "font.family": "sans-serif", "font.size": 9.5, "axes.spines.top": False, "axes.spines.right": False,
    "axes.titlesize": 10.5, "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.grid": True,
    "axes.grid.axis": "x", "grid.color": "#e6e9ed", "svg.fonttype": "path", "svg.hashsalt": "steepest",
}  # fmt: skip


def differences(ax: Axes, rows: list[dict[str, Any]], title: str) -> None:
    """Each seed's difference from the first row as a dot, their mean with its 95 % interval as a bar."""
    base = rows[0]["tests"]
    ax.axvline(0, color="#1a2129", linestyle="--", linewidth=1)
    for i, row in enumerate(rows[1:]):
        points = [100 * (a - b) for a, b in zip(row["tests"], base, strict=True)]
        ax.plot(points, [i] * len(points), "o", color=GREY, markersize=3.5, alpha=0.8)
        ax.errorbar(100 * row["paired"], i, xerr=100 * row["paired_half"], fmt="o", color=BLUE, capsize=3, markersize=5)
    ax.set(yticks=range(len(rows) - 1), yticklabels=[row["method"] for row in rows[1:]], title=title)
    ax.set_ylim(len(rows) - 1.5, -0.5)


def bars(ax: Axes, rows: list[dict[str, Any]], what: str, title: str, log: bool = False) -> None:
    """One bar a method."""
    ax.barh(range(len(rows)), [row[what] for row in rows], color=["#1a2129", *[ORANGE] * (len(rows) - 1)], height=0.6)
    ax.set(yticks=range(len(rows)), yticklabels=[row["method"] for row in rows], title=title)
    if log:
        ax.set_xscale("log")
    ax.set_ylim(len(rows) - 0.5, -0.5)


def keep(figure: Figure, name: str) -> None:
    """Write it, the same bytes for the same results."""
    (ROOT / "img").mkdir(exist_ok=True)
    figure.savefig(ROOT / "img" / f"{name}.svg", metadata={"Date": None, "Creator": None})


def noisy(result: dict[str, Any]) -> Figure:
    """A column for each part of wrong labels."""
    rows = result["rows"]
    noises = sorted({row["noise"] for row in rows})
    figure = Figure(figsize=(10.5, 5.2), layout="constrained")
    axes = figure.subplots(2, len(noises), sharey="row", sharex="row", squeeze=False)
    for column, noise in enumerate(noises):
        these = [row for row in rows if row["noise"] == noise]
        differences(axes[0][column], these, f"{noise:.0%} wrong labels (SGD: {these[0]['test']:.1%})")
        bars(axes[1][column], these, "lambda_max", "largest eigenvalue", log=True)
        axes[0][column].set_xlabel("points of test accuracy more than SGD")
    axes[0][0].set_xlim(-8, 4)  # a collapsed run lies far to the left of it
    return figure


def adapters(result: dict[str, Any]) -> Figure:
    """Accuracy, sharpness and balance side by side."""
    rows = result["rows"]
    figure = Figure(figsize=(10.5, 2.7), layout="constrained")
    axes = figure.subplots(1, 3)
    differences(axes[0], rows, f"AdamW: {rows[0]['test']:.1%}")
    axes[0].set_xlabel("points of test accuracy more than AdamW")
    bars(axes[1], rows, "sam_sharpness", "rise of the loss within 0.1")
    bars(axes[2], rows, "imbalance", "imbalance of the factors")
    for ax in axes[1:]:
        ax.set_yticklabels([])
    axes[1].set_yticklabels([row["method"].replace(", twice the epochs", ", twice") for row in rows])
    return figure


def table(rows: list[dict[str, Any]], columns: dict[str, str]) -> None:
    """Rows of a table in Markdown; the second column of numbers is the difference from the first row of its kind."""
    for row in rows:
        cells = [f"{row[what]:{form}}" for what, form in columns.items()]
        more = f"{100 * row['paired']:+.1f} ± {100 * row['paired_half']:.1f}" if row["paired_half"] else "0"
        print("| " + " | ".join([row["method"], f"{100 * row['test']:.1f}", more, *cells]) + " |")


def main() -> None:
    """Both studies, or the one that is recorded."""
    studies = {
        "noisy-labels": (noisy, {"noise": ".0%", "radius": "g", "best_epoch": ".1%", "clean_train": ".1%",
                                 "lambda_max": ".0f", "sam_sharpness": ".3f"}),
        "lora": (adapters, {"strength": "g", "train_loss": ".3f", "sam_sharpness": ".3f", "imbalance": ".3f"}),
    }  # fmt: skip
    with mpl.rc_context(LOOK):
        for name, (draw, columns) in studies.items():
            file = ROOT / "results" / f"{name}.json"
            if file.exists():
                result = json.loads(file.read_text())
                keep(draw(result), name)
                table(result["rows"], columns)


if __name__ == "__main__":
    main()
