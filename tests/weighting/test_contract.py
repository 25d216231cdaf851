"""The contract of samplers: every sample where it should be, resumed to the sample whatever was drawn ahead."""

from __future__ import annotations

import copy
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

import steepest
from steepest import weighting
from steepest.weighting import Order
from tests.weighting.table import OTHERS, ROWS, N, Row

EACH = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
WORKERS = pytest.mark.parametrize("workers", [0, 2])


def loader(order: Order, workers: int = 0, size: int = 4, **options: Any) -> DataLoader[int]:
    return DataLoader(range(N), size, sampler=order, num_workers=workers, **options)  # type: ignore[arg-type]


def epochs(order: Order, count: int, workers: int = 0, size: int = 4) -> list[list[int]]:
    """The batches of some epochs, one list after another."""
    return [batch.tolist() for _ in range(count) for batch in order.counting(loader(order, workers, size))]


def filed(state: Any) -> Any:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def test_every_sampler_has_a_row() -> None:
    assert {*weighting.__all__} == {*ROWS} | OTHERS
    assert steepest.weighting is weighting


@EACH
def test_an_epoch(row: Row) -> None:
    """N samples, each once where that is promised; epochs differ, seeds differ, the same seed is the same."""
    one = row.make(seed=3)
    first, second = [*one], [*one]
    assert len(one) == N == len(first) == len(second)
    assert {*first} <= {*range(N)}
    if row.once:
        assert sorted(first) == sorted(second) == [*range(N)]
    assert (first != second) == row.moves
    assert [*row.make(seed=3)] == first
    assert ([*row.make(seed=4)] != first) == row.moves


@EACH
def test_counted_or_not_the_epochs_are_the_same(row: Row) -> None:
    one, two, three = row.make(), row.make(), row.make()
    counted = [i for batch in epochs(one, 3) for i in batch]
    assert counted == [int(i) for _ in range(3) for i in two]
    assert one.state_dict()["epoch"] == 3
    trainers = list[int]()
    for epoch in range(3):
        three.set_epoch(epoch)
        trainers += three
    assert counted == trainers


@EACH
@WORKERS
def test_resumes_to_the_sample(row: Row, workers: int) -> None:
    """State is what was handed out: with workers the loader has drawn several batches more."""
    whole = epochs(row.make(seed=1), 3)
    for stop in (1, 4, 6, 9):
        order, seen, saved = row.make(seed=1), list[Any](), None
        while saved is None:
            for batch in order.counting(loader(order, workers)):
                seen.append(batch.tolist())
                if len(seen) == stop:
                    saved = filed(order.state_dict())
                    break
        again = row.make(seed=1)
        again.load_state_dict(saved)
        while len(seen) < len(whole):
            seen += epochs(again, 1)
        assert seen == whole


@EACH
def test_a_loop_that_was_left_goes_on(row: Row) -> None:
    """With the same sampler, and by a copy of it."""
    whole = epochs(row.make(), 2)
    order, seen = row.make(), list[Any]()
    for batch in order.counting(loader(order)):
        seen.append(batch.tolist())
        if len(seen) == 3:
            break
    twin = copy.deepcopy(order)
    assert len(order) == N - 12
    assert seen + epochs(order, 2) == whole == seen + epochs(twin, 2)


@EACH
@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_an_epoch(row: Row, world: int) -> None:
    """Together they have its beginning, each as many and none that another has; the state is the same on all."""
    whole = [*row.make()]
    orders = [row.make(rank=r, world=world) for r in range(world)]
    shares = [[*order] for order in orders]
    assert {len(share) for share in shares} == {N // world} == {len(order) for order in orders}
    assert [i for together in zip(*shares, strict=True) for i in together] == whole[: N // world * world]
    if row.once:
        assert len({i for share in shares for i in share}) == N // world * world
    states = []
    for r in range(world):
        order = row.make(rank=r, world=world)
        next(order.counting(loader(order, size=2)))
        states.append(order.state_dict())
    assert all(s["taken"] == 2 * world for s in states)


@EACH
def test_resumes_with_another_number_of_processes(row: Row) -> None:
    """Two had three batches of two; one goes on where they were."""
    order = row.make(rank=1, world=2)
    batches = order.counting(loader(order, size=2))
    for _ in range(3):
        next(batches)
    one = row.make()
    one.load_state_dict(order.state_dict())
    assert [*one] == [*row.make()][12:]


@EACH
def test_no_stream_of_random_numbers_moves(row: Row) -> None:
    before = torch.get_rng_state()
    order = row.make()
    assert len([*order]) == N
    order.load_state_dict(order.state_dict())
    assert torch.equal(before, torch.get_rng_state())


@EACH
def test_a_state_of_something_else_is_refused(row: Row) -> None:
    """In a sentence, and nothing is changed."""
    order = row.make(seed=2)
    next(order.counting(loader(order)))
    before = order.state_dict()
    for bad, words in ((row.make(seed=3).state_dict(), "seed=3, and this one has seed=2"), ({}, "the state of .* has epoch"),
                       (5, "got int"), ({**before, "n": N + 1}, f"n={N + 1}, and this one has n={N}"),
                       ({**before, "taken": -1}, "taken must be at least 0")):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            order.load_state_dict(bad)  # type: ignore[arg-type]
    after = order.state_dict()
    assert all(torch.equal(torch.as_tensor(after[k]), torch.as_tensor(before[k])) for k in before)


BAD = [(name, *bad) for name, row in ROWS.items() for bad in row.bad]


@pytest.mark.parametrize(("make", "words"), [b[1:] for b in BAD], ids=[f"{b[0]}-{i}" for i, b in enumerate(BAD)])
def test_bad_input_is_refused_in_one_sentence(make: Any, words: str) -> None:
    with pytest.raises((ValueError, TypeError), match=words) as raised:
        make()
    assert "\n" not in str(raised.value)


def test_batches_of_other_loaders() -> None:
    """With a batch sampler, with ``drop_last``, and without a size."""
    order = weighting.Shuffled(N)
    batches = torch.utils.data.BatchSampler(order, 5, drop_last=True)
    seen = [b.tolist() for b in order.counting(DataLoader(range(N), batch_sampler=batches))]  # type: ignore[arg-type]
    assert [len(b) for b in seen] == [5] * 4
    assert (order.epoch, order.taken) == (1, 0)
    with pytest.raises(ValueError, match="list has no batch_size: say how many samples a batch has"):
        order.counting([1, 2])
    assert len([*order.counting([1, 2, 3], each=8)]) == 3
    assert [*weighting.Shuffled(0)] == []


JOB = """
import os, sys, torch
from torch.utils.data import DataLoader
from steepest.weighting import Shuffled
order, path, die = Shuffled(23, seed=5), sys.argv[1], int(sys.argv[2])
if os.path.exists(path):
    order.load_state_dict(torch.load(path, weights_only=True))
count = 0
while order.epoch < 2:
    for batch in order.counting(DataLoader(range(23), 4, sampler=order, num_workers=2, prefetch_factor=3)):
        print(batch.tolist(), flush=True)
        torch.save(order.state_dict(), path + ".new")
        os.replace(path + ".new", path)
        count += 1
        if count == die:
            os._exit(9)
"""


def test_killed_and_resumed(tmp_path: Path) -> None:
    """A process that dies in mid-epoch, with workers that have drawn ahead, and another that goes on."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}

    def job(die: int, name: str = "state") -> Iterator[str]:
        ran = subprocess.run([sys.executable, "-c", JOB, str(tmp_path / name), str(die)], env=env, text=True,
                             stdout=subprocess.PIPE, check=False)  # fmt: skip
        assert ran.returncode == (9 if die else 0)
        yield from ran.stdout.splitlines()

    assert [*job(2), *job(6), *job(0)] == [*job(0, "whole")]
