"""Two processes equal one: replicas, shards of uneven sizes, a checkpoint in between, a NaN on one of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.contract import ranks, ranks_interplay, ranks_whole
from tests.contract.case import CASES, EXCEPTIONS, LOOSE
from tests.contract.law import same

pytestmark = pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="torch was built without gloo")

#: the global mean is the mean of two means, taken in another order
ROUNDING = 2e-5


def _marks(mode: str, name: str) -> list[pytest.MarkDecorator]:
    reason = EXCEPTIONS.get(f"two_processes-{mode}", {}).get(name)
    return [pytest.mark.xfail(reason=reason)] if reason else []


@pytest.mark.parametrize(
    ("mode", "method"),
    [pytest.param(mode, name, marks=_marks(mode, name), id=f"{mode}-{name}") for mode in ranks.MODES for name in CASES],
)
def test_two_processes_are_one(results: dict[str, Any], mode: str, method: str) -> None:
    found = results[f"{mode}-{method}"]
    assert not isinstance(found, str), found
    loose = LOOSE["two_processes"].get(method, (ROUNDING, ""))[0]
    same(found, ranks.alone(CASES[method], skip=2 if mode in ("spoiled", "lost") else -1), loose=loose)


@pytest.mark.parametrize("task", ranks_interplay.TASKS)
def test_unequal_shares_are_one(results: dict[str, Any], task: str) -> None:
    """Unequal rows, an overflow in one shard, windows of micro-batches, an exploding batch on one process."""
    found = results[task]
    assert not isinstance(found, str), found
    loose = LOOSE["two_processes"].get(task.split("-")[-1], (ROUNDING, ""))[0]
    same(found, ranks_interplay.TASKS[task](None), loose=loose)


@pytest.mark.parametrize("task", ranks_whole.TASKS)
def test_maps_of_whole_tensors_are_one(results: dict[str, Any], task: str) -> None:
    """Under every codec, with sums and trial moves, in other coordinates."""
    found = results[task]
    assert not isinstance(found, str), found
    same(found, ranks_whole.TASKS[task](None), loose=ranks_whole.LOOSE.get(task.removeprefix("whole-"), ROUNDING))


def test_shards_can_be_averaged(results: dict[str, Any]) -> None:
    """Inside ``opt.averaged()`` a sharded model computes with the average, before and after with its own weights."""
    found = results["averaged"]
    assert not isinstance(found, str), found
    same(found, ranks.averaged(None), loose=ROUNDING)
    assert not torch.allclose(found[0], found[1], rtol=1e-3)


def test_the_channel_works_inside_ddp(results: dict[str, Any]) -> None:
    """Each process sends the largest entries of its own gradient and memory; all of them hear the average."""
    found = results["sent"]
    assert not isinstance(found, str), found
    model = ranks.Uneven()
    memory = [[torch.zeros_like(p) for p in model.parameters()] for _ in range(ranks.WORLD)]
    for t in range(ranks.STEPS):
        heard = [torch.zeros_like(p) for p in model.parameters()]
        for rank in range(ranks.WORLD):
            x, y = ranks.batch(t, rank)
            gradients = torch.autograd.grad((model(x) - y).square().mean() / 2, list(model.parameters()))
            for k, g in enumerate(gradients):
                heard[k] += _largest(g, memory[rank], k) / ranks.WORLD
        with torch.no_grad():
            for p, d in zip(model.parameters(), heard, strict=True):
                p.sub_(0.1 * d)
    same(found, ranks.whole(model), loose=ROUNDING)


def _largest(g: Tensor, memory: list[Tensor], k: int) -> Tensor:
    wanted = g + memory[k]
    count = max(1, round(0.3 * g.numel()))
    least = wanted.abs().flatten().sort().values[-count]
    kept = torch.where(wanted.abs() >= least, wanted, 0.0)
    memory[k] = wanted - kept
    return kept
