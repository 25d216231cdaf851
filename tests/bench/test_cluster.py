"""A sweep on a cluster that exists: on a local Ray of two workers, killed and resumed, it ends like one in peace here.

Ray is an extra of its own (``pip install 'steepest[ray]'``); without it only what is said about a missing cluster is tested.
"""

from __future__ import annotations

import importlib.util
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from steepest.bench import pool
from steepest.bench.errors import UsageError
from steepest.bench.run import Run
from tests.bench.killing import curves, kill_at_random, runs_of

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: steepest[ray]")


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a local Ray of two workers, which ends with the process that started it."""
    code = (
        "import sys, ray; ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False); "
        "print(ray.get_runtime_context().gcs_address, flush=True); sys.stdin.read()"
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAY_AUTH_MODE", "token")
        patched.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))  # of this cluster alone; sweeps inherit it
        pipe = subprocess.PIPE
        with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, text=True) as head:
            assert head.stdout is not None
            address = head.stdout.readline().strip()
            patched.setenv("RAY_ADDRESS", address)
            yield address
            if "ray" in sys.modules:
                sys.modules["ray"].shutdown()


@needs_ray
@pytest.mark.slow
def test_killed_and_resumed_on_ray_equals_undisturbed(tiny: str, cluster: str) -> None:
    kill_at_random(tiny, times=2, jobs=2, backend="ray")


@needs_ray
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Ray's own
def test_a_worker_that_dies_and_one_with_other_code_are_errors(tiny: str, cluster: str, tmp_path: Path) -> None:
    runs = runs_of(tiny)[:2]
    pool.carry_out(runs, tmp_path / "out", -1, lambda event: None, "ray")
    pool.carry_out(runs, tmp_path / "quiet", 1, lambda event: None)
    assert curves(runs, tmp_path / "out") == curves(runs, tmp_path / "quiet")
    other = [Run(tiny, run.method, run.seed, run.budget, fingerprint="another") for run in runs]
    with pytest.raises(UsageError, match="a worker has other code of tiny_workload:problem"):
        pool.carry_out(other, tmp_path / "out", -1, lambda event: None, "ray")
    Path("tiny_dying.py").write_text("import os\ndef problem(seed):\n    os._exit(3)\n")
    dying = [Run("tiny_dying:problem", run.method, run.seed, run.budget) for run in runs]
    with pytest.raises(UsageError, match=r"a worker of --backend ray ended in ActorDiedError.*finished runs are kept"):
        pool.carry_out(dying, tmp_path / "out", -1, lambda event: None, "ray")


def test_a_cluster_that_is_not_there_is_told_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match="--backend needs the package ray: pip install ray"):
        pool.check("ray")
    if importlib.util.find_spec("dask") is None:
        with pytest.raises(UsageError, match="--backend needs the package dask"):
            pool.check("dask")
    pool.check("loky")
