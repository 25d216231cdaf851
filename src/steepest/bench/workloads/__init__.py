"""The built-in workloads: real data that comes with Python or scikit-learn, nothing downloaded.

Each file is one kind of data; this one is the index, with the frozen targets put in. A user's own workload is a
function named on the command line, `package.module:function`, and is read by `own.py`.
"""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import resources
from typing import Any

from steepest.bench.problem import Workload
from steepest.bench.workloads.docstrings import DOCSTRINGS
from steepest.bench.workloads.factors import FACTORIZATION
from steepest.bench.workloads.finetune import FINETUNE
from steepest.bench.workloads.glyphs import GLYPHS
from steepest.bench.workloads.gpt import GPTS
from steepest.bench.workloads.graph import GRAPH
from steepest.bench.workloads.images import IMAGES
from steepest.bench.workloads.long import LONG
from steepest.bench.workloads.lowrank import LOW_RANK
from steepest.bench.workloads.patches import PATCHES
from steepest.bench.workloads.physics import PHYSICS
from steepest.bench.workloads.sequence import SEQUENCE
from steepest.bench.workloads.tabular import TABULAR
from steepest.bench.workloads.text import TEXT
from steepest.bench.workloads.transfer import TRANSFER

EVERY = (
    *TABULAR, *LOW_RANK, *TEXT, *LONG, *DOCSTRINGS, *SEQUENCE, *GRAPH, *IMAGES, *PATCHES, *GLYPHS, *FINETUNE, *TRANSFER,
    *PHYSICS, *GPTS, *FACTORIZATION,
)  # fmt: skip


def frozen_targets() -> dict[str, dict[str, Any]]:
    """The recorded targets and how each was made; written by `python -m steepest.bench.targets`."""
    recorded: dict[str, dict[str, Any]] = json.loads(
        resources.files("steepest.bench").joinpath("targets.json").read_text(encoding="utf-8")
    )
    return recorded


def _with_targets() -> dict[str, Workload]:
    targets = frozen_targets()
    return {w.name: replace(w, target=targets[w.name]["target"]) if w.name in targets else w for w in EVERY}


BUILT_IN: dict[str, Workload] = _with_targets()
DEFAULT = ("digits-mlp", "breast-cancer-raw", "diabetes", "photo-completion", "stdlib-tokens", "stdlib-lm")
QUICK = ("digits-mlp", "breast-cancer-raw", "photo-completion")
