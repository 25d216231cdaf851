"""Two processes, started once for everything that is asked of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.multiprocessing.spawn import spawn

from tests.contract import ranks


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What two processes found, by mode and method."""
    folder = tmp_path_factory.mktemp("ranks")
    spawn(ranks.job, (str(folder),), nprocs=ranks.WORLD)
    first, second = (torch.load(Path(folder) / f"rank{rank}.pt") for rank in range(ranks.WORLD))
    assert first.keys() == second.keys()
    return {key: second[key] if isinstance(second[key], str) else first[key] for key in first}
