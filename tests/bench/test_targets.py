"""How targets are frozen: by tuned baselines on part of the budget, with everything they came from."""

from __future__ import annotations

from pathlib import Path

import pytest

from steepest.bench import targets
from steepest.bench.workloads import BUILT_IN


def test_a_target_is_the_better_baselines_median_with_the_declared_slack(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frozen = targets.freeze(["diabetes"], trials=2, seeds=2, jobs=1, folder=tmp_path)["diabetes"]
    medians = frozen["medians"]
    assert isinstance(medians, dict)
    assert set(medians) == set(targets.BASELINES)
    assert frozen["target"] == pytest.approx(min(medians.values()) * targets.SLACK, rel=1e-3)
    assert frozen["budget"] == BUILT_IN["diabetes"].budget * targets.PART
    assert capsys.readouterr().out.count("done") == 2 * (2 + 2)
