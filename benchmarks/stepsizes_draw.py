"""The pictures of docs/choosing-a-step-size.md, drawn from docs/results/stepsizes.json.

python benchmarks/stepsizes_draw.py [--results docs/results/stepsizes.json] [--out docs/img] [--png FOLDER]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = {
    "PoNoS": "#0072B2", "PoNoS, forget 0.2": "#56B4E9", "PoNoS, no memory": "#E69F00", "SLS": "#D55E00",
    "SPS": "#009E73", "PoNoSPrec": "#CC79A7", "SGD": "#1a2129", "Adam": "#8a929c", "PoNoS, authors' file": "#1a2129",
}  # fmt: skip
NAMES = {"SGD": "SGD, tuned", "Adam": "Adam, tuned"}
LOOK: dict[str, Any] = {
    "font.family": "sans-serif", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
    "axes.edgecolor": "#9aa3ad", "axes.titlesize": 10, "axes.titleweight": "bold", "axes.titlelocation": "left",
    "axes.grid": True, "grid.color": "#e6e9ed", "grid.linewidth": 0.8, "svg.fonttype": "path",
    "svg.hashsalt": "steepest",
}  # fmt: skip
LEAST = 1e-7  # losses below are drawn here


def line(ax: Axes, rows: dict[str, Any], name: str, x: str, y: str) -> None:
    """One method's curve, thinned to forty points."""
    curve = rows[name]["curve"]
    ys = curve[y]
    xs = list(range(1, len(ys) + 1)) if x == y else curve[x]
    every = max(len(ys) // 40, 1)
    ax.plot(xs[::every], [max(v, LEAST) if y == "loss" else v for v in ys[::every]], color=COLOURS[name],
            label=NAMES.get(name, name), lw=1.4, ls="--" if name in NAMES or "authors" in name else "-")  # fmt: skip


def losses(problems: dict[str, Any], names: Iterable[str]) -> Figure:
    """Training loss against epochs, and against processor seconds."""
    shown = [p for p in ("mushrooms", "mushrooms, kernel", "digits", "letters", "LeNet", "ResNet") if p in problems]
    figure = Figure(figsize=(1 + 2.5 * len(shown), 5.2), layout="constrained")
    axes = figure.subplots(2, len(shown), squeeze=False)
    for column, problem in enumerate(shown):
        rows = problems[problem]
        for ax, x in ((axes[0][column], "epoch"), (axes[1][column], "seconds")):
            for name in (n for n in names if n in rows):
                line(ax, rows, name, x, "loss")
            ax.set(yscale="log", xlabel="epochs" if x == "epoch" else "processor seconds")
            ax.set_xlim(0, max(rows[n]["curve"][x][-1] for n in ("SGD", "Adam")) * (1 if x == "epoch" else 2))
        values = [v for n in names if n in rows for v in rows[n]["curve"]["loss"] if v > LEAST]
        low, high = max(min(values) * 0.7, LEAST), 3 * rows["SGD"]["curve"]["loss"][0]
        for ax in (axes[0][column], axes[1][column]):
            ax.set_ylim(low, high)
        axes[0][column].set_title(problem)
    for ax in (axes[0][0], axes[1][0]):
        ax.set_ylabel("training loss")
    figure.legend(*axes[0][-1].get_legend_handles_labels(), loc="outside lower center", ncols=8, frameon=False)
    return figure


def backtracks(problems: dict[str, Any]) -> Figure:
    """Mean backtracks a step in each epoch."""
    names = ("PoNoS", "PoNoS, forget 0.2", "PoNoS, no memory", "PoNoS, authors' file")
    nets = (
        "LeNet",
        "LeNet, all images",
        "LeNet, 200 epochs",
        "ResNet",
        "ResNet, 20,000 images",
        "perceptron, all images",
    )
    shown = [p for p in nets if p in problems]
    figure = Figure(figsize=(9.6, 5.2), layout="constrained")
    axes = list(figure.subplots(2, 3, sharey=True).flat)
    for ax in axes[len(shown) :]:
        ax.set_visible(False)
    for ax, problem in zip(axes, shown, strict=False):
        for name in (n for n in names if n in problems[problem]):
            line(ax, problems[problem], name, "mean", "mean")
        ax.axhline(0.2, color="#6b7580", lw=1, ls=(0, (1, 2)))
        ax.set(title=problem, xlabel="epochs", ylim=(0, 5.5), ylabel="backtracks a step")
    found = {text: mark for ax in axes for mark, text in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend(found.values(), found, loc="outside lower center", ncols=4, frameon=False)
    return figure


def distances(answers: list[dict[str, Any]]) -> Figure:
    """Test accuracy relative to the tuned rival, in points."""
    found = [
        a for a in answers if a["question"].endswith(", points below") and a["question"] != "accuracy, points below"
    ]
    names = list(dict.fromkeys(a["question"].removesuffix(", points below") for a in found))
    problems = list(dict.fromkeys(a["problem"] for a in found))
    figure = Figure(figsize=(7.4, 3.2), layout="constrained")
    ax = figure.subplots()
    least = -12.0
    for k, problem in enumerate(problems):
        marks = {a["question"].removesuffix(", points below"): -a["number"] for a in found if a["problem"] == problem}
        xs = [names.index(n) + (k - (len(problems) - 1) / 2) * 0.13 for n in marks]
        dots = ax.scatter(xs, [max(v, least) for v in marks.values()], s=26, label=problem, zorder=3,
                          color=list(COLOURS.values())[k])  # fmt: skip
        for x, v in zip(xs, marks.values(), strict=True):
            if v < least:
                ax.annotate(f"{v:.0f}", (x, least), xytext=(0, -11), textcoords="offset points", ha="center", fontsize=7.5,
                            color=dots.get_facecolor()[0])  # fmt: skip
    ax.axhspan(-0.5, 0.5, color="#e6e9ed", zorder=0)
    ax.set_xticks(range(len(names)), [n.replace(", averaged", "") for n in names], rotation=25, ha="right")
    ax.set(ylabel="points of accuracy\nabove the tuned rival", ylim=(least - 3, 4))
    figure.legend(loc="outside upper center", frameon=False, ncols=6, fontsize=8)
    return figure


def main() -> None:
    """Draw all three."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--results", type=Path, default=Path("docs/results/stepsizes.json"))
    options.add_argument("--out", type=Path, default=Path("docs/img"))
    options.add_argument("--png", type=Path)
    given = options.parse_args()
    result = json.loads(given.results.read_text())
    with mpl.rc_context(LOOK):
        figures = {
            "stepsize-losses": losses(result["problems"], ("PoNoS", "SLS", "SPS", "PoNoSPrec", "SGD", "Adam")),
            "stepsize-backtracks": backtracks(result["problems"]),
            "stepsize-distances": distances(result["answers"]),
        }
        for name, figure in figures.items():
            figure.savefig(given.out / f"{name}.svg", metadata={"Date": None, "Creator": None})
            if given.png:
                figure.savefig(given.png / f"{name}.png", dpi=80)


if __name__ == "__main__":
    main()
