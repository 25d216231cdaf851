"""SIGKILL at random moments, again and again: nothing is lost but the steps since the last checkpoint.

Kills are given on progress plus a random delay, so the same moments are drawn on a slow machine; where exactly a kill
lands is chance, and the assertions hold wherever it does. ``STEEPEST_KILLS`` sets how many a run must survive.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

import steepest
from tests.reliability.killing import Server, bench_and_kill, differences, train_and_kill
from tests.reliability.train_job import METHODS

KILLS = int(os.environ.get("STEEPEST_KILLS", "3"))

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked, and SIGKILL is POSIX")


@pytest.mark.parametrize("name", METHODS)
def test_a_killed_run_ends_like_one_that_was_not(name: str, server: Server, tmp_path: Path) -> None:
    """Weights, optimizer, schedule, random state and every loss, to the bit; every checkpoint found is a whole one."""
    tally = train_and_kill(server, name, tmp_path, KILLS, max(60, 6 * KILLS), 3)
    assert sum(tally.phases.values()) == KILLS, tally


def test_a_killed_benchmark_ends_like_one_that_was_not(server: Server, tmp_path: Path) -> None:
    """The store is whole after every kill, no finished record is lost, and the last records are the same."""
    tally = bench_and_kill(server, tmp_path, "PoNoS", KILLS)
    assert tally.kills == KILLS, tally


def test_a_save_that_fails_leaves_the_one_before_and_nothing_else(tmp_path: Path) -> None:
    """What cannot be written does not cost what was written before, nor leaves a piece of itself behind."""
    resource = pytest.importorskip("resource", reason="POSIX only")
    path = tmp_path / "checkpoint.pt"
    steepest.save({"step": 1}, path)
    with pytest.raises(Exception, match=r"pickle|lambda"):
        steepest.save({"step": 2, "f": lambda: None}, path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))  # as on a full disk
    try:
        with pytest.raises((OSError, RuntimeError)):
            steepest.save({"step": 3, "weights": torch.ones(100_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_killed_saves_do_not_pile_up(server: Server, tmp_path: Path) -> None:
    """However often a save was killed, the next one that comes to its end leaves one file."""
    path = tmp_path / "killed" / "checkpoint.pt"
    train_and_kill(server, "AdamW-int8", tmp_path, 6, 18, 1)
    kept = torch.load(path, weights_only=True)
    steepest.save(kept, path)
    assert list(differences(torch.load(path, weights_only=True), kept)) == []
    assert [p.name for p in path.parent.glob("checkpoint.pt*")] == ["checkpoint.pt"]
