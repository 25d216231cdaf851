"""The cache of compiled loops: killed while it is filled, cut short, filled by two at once; it never spoils a later run.

Every job here turns warnings into errors, and a loop that cannot be loaded is answered by a slower lift with a warning:
so a job that ends well has really run its compiled loop.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.reliability.killing import Server, differences
from tests.reliability.train_job import Job, Place

KILLS = int(os.environ.get("STEEPEST_KILLS", "3"))
METHOD = "MeZO"  # the shortest loop

pytestmark = pytest.mark.skipif(
    not hasattr(os, "fork") or shutil.which(os.environ.get("CC", "cc").split()[0]) is None, reason="no C compiler"
)


@pytest.fixture(scope="module")
def filled(server: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, float]:
    """A cache with the loops of a job, the job's result, and the seconds it took."""
    folder = tmp_path_factory.mktemp("filled")
    took = server.complete(job(folder, folder / "cache"))
    return folder / "cache", folder / "checkpoint.pt", took


def job(folder: Path, cache: Path) -> Job:
    """Two steps."""
    folder.mkdir(exist_ok=True)
    Place(folder).set(0, "start")
    return Job(str(folder), METHOD, 2, 2, str(cache))


def same(folder: Path, result: Path) -> bool:
    """Whether a job has the result it should have."""
    found, right = (torch.load(path, weights_only=True) for path in (folder / "checkpoint.pt", result))
    return not list(differences(found, right))


def test_killed_at_the_first_compilation(server: Server, filled: tuple[Path, Path, float], tmp_path: Path) -> None:
    """What a killed compiler leaves behind is not taken for a compiled loop."""
    _, result, took = filled
    cache, dice, place = tmp_path / "cache", random.Random(0), Place(tmp_path)
    for _ in range(KILLS):
        shutil.rmtree(cache, ignore_errors=True)
        server.kill(job(tmp_path, cache), lambda: place.get()[1] == "step", 0.6 * took * dice.random())
        (tmp_path / "checkpoint.pt").unlink(missing_ok=True)
        server.complete(job(tmp_path, cache))
        assert same(tmp_path, result)
        assert sorted(path.name for path in cache.glob("*.so")) == sorted(path.name for path in filled[0].glob("*.so"))
        (tmp_path / "checkpoint.pt").unlink()


CUT: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda whole: b"",
    "a header": lambda whole: whole[:64],
    "half": lambda whole: whole[: len(whole) // 2],
    "all but the last page": lambda whole: whole[:-4096],
    "one byte short": lambda whole: whole[:-1],
    "a page of zeros": lambda whole: whole[:4096] + bytes(4096) + whole[8192:],
    "something else": lambda whole: b"not a library\n" * 100,
}


@pytest.mark.parametrize("how", CUT)
def test_a_damaged_loop_is_made_again(
    how: str, server: Server, filled: tuple[Path, Path, float], tmp_path: Path
) -> None:
    """A crash of the machine or a full disk may cut a file in the cache; the next run mends it and does not die."""
    cache, result, _ = filled
    shutil.copytree(cache, tmp_path / "cache")
    for path in (tmp_path / "cache").glob("*.so"):
        path.write_bytes(CUT[how](path.read_bytes()))
    server.complete(job(tmp_path, tmp_path / "cache"))
    assert same(tmp_path, result)
    server.complete(job(tmp_path / "again", tmp_path / "cache"))  # the mended loop is the one that is kept
    assert same(tmp_path / "again", result)


THREADS = """
import threading, torch, steepest
errors, ready = [], threading.Barrier(4)

def one():
    try:
        x = torch.nn.Parameter(torch.ones(4))
        opt = steepest.AdamW([x], lift="native")
        ready.wait()
        opt.step(lambda: x.square().sum())
        assert (x < 1).all()
    except BaseException as error:
        errors.append(error)

threads = [threading.Thread(target=one) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
if errors: raise errors[0]
"""


def test_four_threads_fill_an_empty_cache(server: Server, tmp_path: Path) -> None:
    """A search over hyper-parameters in threads compiles the same loop at the same time."""
    server.complete(Job(str(tmp_path), cache=str(tmp_path / "cache"), script=THREADS))
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".so"]
