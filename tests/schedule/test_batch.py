"""Growing batches: every row once an epoch, equal parts for each process, resume anywhere; and the test that grows them."""

from __future__ import annotations

import datetime
import io
import math
import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from steepest.schedule import GrowingBatchSampler, NormTest, row_gradients
from tests.processes import leave


def epoch(sampler: GrowingBatchSampler, factor: float = 1.5) -> list[list[int]]:
    seen = []
    for rows in sampler:
        seen.append(rows)
        sampler.step()
        sampler.grow(sampler.batch * factor)
    return seen


@settings(deadline=None)
@given(rows=st.integers(1, 60), batch=st.integers(1, 60), most=st.integers(1, 80), factor=st.floats(1.0, 3.0))
def test_every_row_once_an_epoch(rows: int, batch: int, most: int, factor: float) -> None:
    sampler = GrowingBatchSampler(rows, min(batch, most), most)
    sizes = []
    for k in range(3):
        assert sampler.epoch == k
        drawn = epoch(sampler, factor)
        assert sorted(i for b in drawn for i in b) == list(range(rows))
        sizes += [len(b) for b in drawn[:-1]]  # the last of an epoch may be smaller
    assert sizes == sorted(sizes)
    assert sampler.batch <= most


@settings(deadline=None)
@given(rows=st.integers(8, 60), batch=st.integers(4, 8), replicas=st.integers(1, 4), drop=st.booleans())
def test_processes_share_every_batch(rows: int, batch: int, replicas: int, drop: bool) -> None:
    """Equal parts, no row twice, and together what one process would draw but for less than a row each."""
    samplers = [
        GrowingBatchSampler(rows, batch, rows, replicas=replicas, rank=r, drop_last=drop) for r in range(replicas)
    ]
    for k in range(2):
        parts = [epoch(s) for s in samplers]
        assert len({len(p) for p in parts}) == 1
        for batches in zip(*parts, strict=True):
            assert len({len(b) for b in batches}) == 1
        flat = [i for p in parts for b in p for i in b]
        assert len(flat) == len(set(flat))
        if not drop:
            assert rows - len(flat) < replicas
        assert {(s.epoch, s.seen) for s in samplers} == {(k + 1, 0)}
        assert all(s.batch % replicas == 0 for s in samplers)


def run(sampler: GrowingBatchSampler, steps: int) -> list[list[int]]:
    """So many batches, over epochs."""
    seen: list[list[int]] = []
    while len(seen) < steps:
        for rows in sampler:
            seen.append(rows)
            sampler.step()
            sampler.grow(3 + len(rows))
            if len(seen) == steps:
                break
    return seen


@pytest.mark.parametrize("drop", [False, True])
def test_resume_anywhere(drop: bool) -> None:
    whole = run(GrowingBatchSampler(50, 3, 20, drop_last=drop), 24)
    assert len({len(b) for b in whole}) > 4
    for k in range(25):
        first = GrowingBatchSampler(50, 3, 20, drop_last=drop)
        begun = run(first, k)
        file = io.BytesIO()
        torch.save(first.state_dict(), file)
        file.seek(0)
        again = GrowingBatchSampler(50, 3, 20, drop_last=drop)
        again.load_state_dict(torch.load(file, weights_only=True))
        assert begun + run(again, 24 - k) == whole, k


def test_with_workers_a_checkpoint_knows_what_was_used_and_not_what_was_drawn() -> None:
    sampler = GrowingBatchSampler(40, 4)
    loader = DataLoader(TensorDataset(torch.arange(40)), batch_sampler=sampler, num_workers=1)
    used = []
    for (rows,) in loader:
        used += rows.tolist()
        sampler.step()
        if len(used) == 12:
            break
    assert sampler.seen == 12
    again = GrowingBatchSampler(40, 4)
    again.load_state_dict(sampler.state_dict())
    rest = [i for rows in again for i in rows]
    assert sorted(used + rest) == list(range(40))


def test_orders_differ_by_epoch_and_seed_and_not_otherwise() -> None:
    def orders(seed: int) -> list[list[int]]:
        sampler = GrowingBatchSampler(30, 30, seed=seed)
        return [i for _ in range(2) for i in sampler]

    a, b = orders(0)
    assert a != b
    assert orders(0) == [a, b]
    assert orders(1)[0] not in (a, b)
    assert len(GrowingBatchSampler(30, 7)) == 5
    assert len(GrowingBatchSampler(30, 7, drop_last=True)) == 4


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"data": 0, "batch": 1}, ValueError, "data must be a whole number of at least 1, got 0"),
    ({"data": 10, "batch": 0}, ValueError, "batch must be a whole number from 1 to 10, got 0"),
    ({"data": 10, "batch": 5, "most": 4}, ValueError, "from 1 to 4, got 5"),
    ({"data": 10, "batch": 2.5}, TypeError, "got 2.5"),
    ({"data": 10, "batch": 2, "replicas": 2, "rank": 2}, ValueError, "rank must be a whole number from 0 to 1"),
]


@pytest.mark.parametrize(("given", "kind", "words"), WRONG)
def test_what_is_wrong_is_said(given: dict[str, Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        GrowingBatchSampler(**given)
    sampler = GrowingBatchSampler(10, 2)
    with pytest.raises(RuntimeError, match="once after each batch"):
        sampler.step()
    with pytest.raises(ValueError, match="eta"):
        NormTest(sampler, eta=0.0)
    for grads in ([], [torch.tensor(1.0)], [torch.ones(2, 3), torch.ones(3, 3)]):
        with pytest.raises(ValueError, match="rows first"):
            NormTest(sampler).update(grads)


def small() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    return net, torch.randn(6, 3), torch.tensor([0, 1, 0, 1, 1, 0])


def test_row_gradients_are_what_a_loop_gives() -> None:
    net, x, y = small()
    net[0].bias.requires_grad_(False)  # type: ignore[index]
    rows = row_gradients(net, nn.functional.cross_entropy, x, y)
    params = [p for p in net.parameters() if p.requires_grad]
    assert len(rows) == len(params) == 3
    for k in range(6):
        known = torch.autograd.grad(nn.functional.cross_entropy(net(x[k : k + 1]), y[k : k + 1]), params)
        for ours, theirs in zip(rows, known, strict=True):
            assert torch.allclose(ours[k], theirs, atol=1e-6)


def flat(grads: list[torch.Tensor]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return torch.cat([g.flatten(1) for g in grads], 1).double().numpy()


@pytest.mark.parametrize("coordinates", [False, True])
def test_the_formula(coordinates: bool) -> None:
    """Var = Σ‖gᵢ − g_B‖²/(b − 1), b ← ⌈Var/(η²‖g_B‖²)⌉, or the largest of these over coordinates."""
    net, x, y = small()
    grads = row_gradients(net, nn.functional.cross_entropy, x, y)
    G = flat(grads)
    mean = G.mean(0)
    var = ((G - mean) ** 2).sum(0) / 5
    for eta in (0.05, 0.3, 0.9):
        known = math.ceil((var / mean**2).max() / eta**2 if coordinates else var.sum() / (eta**2 * (mean**2).sum()))
        sampler = GrowingBatchSampler(10**9, 2)
        assert NormTest(sampler, eta, coordinates).update(grads) == max(2, known) == sampler.batch


def test_micro_batches_estimate_the_same_variance() -> None:
    generator = torch.Generator().manual_seed(0)
    g = torch.randn(4000, 3, generator=generator) + 0.5
    each, micro = (NormTest(GrowingBatchSampler(10**6, 1), 0.1) for _ in range(2))
    each.update([g])
    micro.update([g.view(400, 10, 3).mean(1)], rows=10)
    assert each.variance == pytest.approx(3.0, rel=0.05)
    assert micro.variance == pytest.approx(each.variance, rel=0.1)
    assert micro.square == pytest.approx(each.square, rel=1e-5)


def test_the_size_never_falls_and_edges_are_harmless() -> None:
    sampler = GrowingBatchSampler(1000, 4, 64)
    test = NormTest(sampler, 0.5)
    assert test.update([torch.ones(4, 2)]) == 4  # no variance
    assert test.update([torch.zeros(4, 2)]) == 4  # nothing at all
    assert test.update([torch.full((4, 2), math.nan)]) == 4
    assert test.update([torch.ones(1, 2)]) == 4  # one row has no variance
    noisy = torch.tensor([[1.0], [-0.8], [0.9], [-0.7]])
    grown = test.update([noisy])
    assert grown == 64
    assert test.update([torch.ones(4, 2)]) == 64
    other = NormTest(GrowingBatchSampler(1000, 4, 64), 0.5)
    assert other.update([torch.tensor([[1.0], [-1.0]])]) == 64  # noise alone asks for the cap
    assert (
        NormTest(GrowingBatchSampler(9, 2), 0.5, coordinates=True).update([torch.tensor([[1.0, 0.0], [1.0, 0.0]])]) == 2
    )


def half(rank: int, folder: str) -> None:
    """Two processes test the two halves of a batch."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2,
                            timeout=datetime.timedelta(seconds=60))  # fmt: skip
    net, x, y = small()
    sampler = GrowingBatchSampler(10**6, 2)
    mine = slice(3 * rank, 3 * rank + 3)
    test = NormTest(sampler, 0.1)
    test.update(row_gradients(net, nn.functional.cross_entropy, x[mine], y[mine]))
    torch.save([test.variance, test.square, sampler.batch, sampler.replicas, sampler.rank], f"{folder}/{rank}.pt")
    leave()


@pytest.mark.xdist_group("processes")
def test_processes_test_their_batch_together(tmp_path: Path) -> None:
    net, x, y = small()
    alone = NormTest(GrowingBatchSampler(10**6, 2), 0.1)
    alone.update(row_gradients(net, nn.functional.cross_entropy, x, y))
    context = multiprocessing.get_context("spawn")
    jobs = [context.Process(target=half, args=(rank, str(tmp_path))) for rank in range(2)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(100)
        assert job.exitcode == 0
    for rank in range(2):
        variance, square, batch, *place = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert variance == pytest.approx(alone.variance, rel=1e-6)
        assert square == pytest.approx(alone.square, rel=1e-6)
        assert 0 <= batch - alone.sampler.batch < 2  # rounded up to two equal parts
        assert place == [2, rank]
