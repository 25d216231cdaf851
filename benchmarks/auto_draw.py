"""The picture of docs/auto.md, drawn from docs/results/auto.json.

python benchmarks/auto_draw.py [--results docs/results/auto.json] [--out docs/img/auto.svg] [--png FILE]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from stepsizes_draw import LOOK

LABELS = {"design": "design", "earlier": "earlier", "unseen": "never seen"}
NAMES = {
    "torch.AdamW, tuned": ("AdamW, tuned for each workload", "#1a2129", "D"),
    "torch.AdamW": ("AdamW", "#8a929c", "o"),
    "torch.NAdam": ("NadamW", "#0072B2", "o"),
    "schedulefree.AdamWScheduleFree": ("Schedule-Free AdamW", "#D55E00", "o"),
    "prodigyopt.Prodigy": ("Prodigy", "#009E73", "o"),
}


def main() -> None:
    """Cost relative to Auto's, workload by workload."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--results", type=Path, default=Path("docs/results/auto.json"))
    options.add_argument("--out", type=Path, default=Path("docs/img/auto.svg"))
    options.add_argument("--png", type=Path)
    given = options.parse_args()
    rows = json.loads(given.results.read_text(encoding="utf-8"))["rows"][::-1]
    with mpl.rc_context(LOOK):
        figure = Figure(figsize=(8.5, 6.2), layout="constrained")
        ax = figure.subplots()
        for name, (label, colour, mark) in NAMES.items():
            ratios = [row["gradient_equivalents"][name] / row["gradient_equivalents"]["Auto"] for row in rows]
            ax.scatter(ratios, range(len(rows)), color=colour, marker=mark, s=34, label=label, zorder=3)
        ax.axvline(1.0, color="#1a2129", lw=1)
        ax.set(xscale="log", title="Gradient-equivalents to the target in units of Auto's: right of the line Auto is faster",
               yticks=range(len(rows)), yticklabels=[f"{r['workload']} ({LABELS[r['kind']]})" for r in rows])  # fmt: skip
        ax.xaxis.set_major_formatter(mpl.ticker.FormatStrFormatter("%g"))
        ax.set_xticks([0.5, 1, 2, 4, 8, 16])
        ax.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
        figure.legend(fontsize=8, loc="outside lower center", ncols=5, frameon=False)
        given.out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(given.out, metadata={"Date": None})
        if given.png:
            figure.savefig(given.png, dpi=110)


if __name__ == "__main__":
    main()
