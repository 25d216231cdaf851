"""Pairs of processes, each started once for everything that is asked of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.multiprocessing.spawn import spawn

from tests.contract import ranks, ranks_stored


def _pair(job: Callable[[int, str], None], folder: Path) -> dict[str, Any]:
    spawn(job, (str(folder),), nprocs=ranks.WORLD)
    first, second = (torch.load(folder / f"rank{rank}.pt") for rank in range(ranks.WORLD))
    assert first.keys() == second.keys()
    return {key: second[key] if isinstance(second[key], str) else first[key] for key in first}


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What two processes found, by mode and method."""
    return _pair(ranks.job, tmp_path_factory.mktemp("ranks"))


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What two processes saved, loaded and rounded, by task."""
    return _pair(ranks_stored.job, tmp_path_factory.mktemp("stored"))
