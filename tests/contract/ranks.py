"""A job for two processes: all methods under DDP and FSDP2, and the same training in one process to compare with.

Starting processes costs seconds, so one pair runs everything and leaves a file: method -> weights, or what went wrong.
Both processes see the same errors at the same place, or the pair gives up together after a timeout.
"""

from __future__ import annotations

import datetime
import functools
import re
import traceback
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import steepest
from tests.contract.case import CASES, Case
from tests.processes import leave

ROWS, STEPS, WORLD = 8, 5, 2
Task = Callable[[int], list[Tensor]]
Mode = Callable[[Case, int], list[Tensor]]


class Uneven(nn.Module):
    """Sizes that two processes cannot share fairly: 5, 1 and 7 rows."""

    def __init__(self) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(0)
        self.wide = nn.Parameter(torch.randn(5, 6, generator=random) * 0.5)
        self.bias = nn.Parameter(torch.randn(5, generator=random) * 0.3)
        self.gain = nn.Parameter(torch.tensor([1.1]))
        self.tall = nn.Parameter(torch.randn(7, 5, generator=random) * 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return (torch.tanh(x @ self.wide.T + self.bias) * self.gain) @ self.tall.T


def batch(t: int, rank: int | None = None) -> tuple[Tensor, Tensor]:
    """Batch t, or one process's half of it."""
    random = torch.Generator().manual_seed(100 + t)
    x, y = torch.randn(ROWS, 6, generator=random), torch.randn(ROWS, 7, generator=random)
    if rank is None:
        return x, y
    mine = slice(rank * ROWS // WORLD, (rank + 1) * ROWS // WORLD)
    return x[mine], y[mine]


def train(case: Case, model: nn.Module, opt: Any, steps: Iterable[int], rank: int | None, bad: int = -1) -> None:
    """Some steps; at step ``bad`` the second process's batch has a NaN in it."""
    for t in steps:
        x, y = batch(t, rank)
        if t == bad and rank in (None, 1):
            y = y.clone()
            y[-1, 0] = torch.nan

        def loss(x: Tensor = x, y: Tensor = y) -> Tensor:
            value: Tensor = (model(x) - y).square().mean() / 2
            return value

        if case.closure:
            opt.step(loss)
        else:
            opt.zero_grad()
            loss().backward()
            opt.step()


def whole(model: nn.Module) -> list[Tensor]:
    """All weights, gathered."""
    return gathered(model.parameters())


def gathered(params: Iterable[Tensor]) -> list[Tensor]:
    """Copies of whole parameters."""
    return [(p.full_tensor() if hasattr(p, "full_tensor") else p).detach().clone() for p in params]


def alone(case: Case, skip: int = -1) -> list[Tensor]:
    """What one process does on whole batches, leaving one out."""
    model = Uneven()
    train(case, model, case(model.parameters()), (t for t in range(STEPS) if t != skip), None)
    return whole(model)


def sharded(model: nn.Module | None = None) -> nn.Module:
    """Shards of every parameter."""
    model = Uneven() if model is None else model
    fully_shard(model, mesh=init_device_mesh("cpu", (WORLD,)))
    return model


def ddp(case: Case, rank: int) -> list[Tensor]:
    """Replicas, gradients averaged by DDP."""
    model = DistributedDataParallel(Uneven())
    train(case, model, case(model.parameters()), range(STEPS), rank)
    return whole(model)


def fsdp(case: Case, rank: int) -> list[Tensor]:
    """Shards of every parameter."""
    model = sharded()
    train(case, model, case(model.parameters()), range(STEPS), rank)
    return whole(model)


def resumed(case: Case, rank: int) -> list[Tensor]:
    """Shards, and a checkpoint by ``torch.distributed.checkpoint.state_dict`` in the middle."""
    model = sharded()
    opt = case(model.parameters())
    train(case, model, opt, range(3), rank)
    saved = get_optimizer_state_dict(model, opt)
    other = sharded()
    other.load_state_dict(model.state_dict())
    fresh = case(other.parameters())
    set_optimizer_state_dict(other, fresh, saved)
    train(case, other, fresh, range(3, STEPS), rank)
    return whole(other)


def spoiled(case: Case, rank: int) -> list[Tensor]:
    """Shards, and a NaN in one process's batch, which all processes skip."""
    model = sharded()
    opt = case(model.parameters(), nonfinite="skip")
    train(case, model, opt, range(STEPS), rank, bad=2)
    assert opt.counters.skipped == 1
    return whole(model)


def lost(case: Case, rank: int) -> list[Tensor]:
    """Replicas, and on one of them a loss that is NaN though its gradients are not: all of them skip."""
    model = DistributedDataParallel(Uneven())
    opt = case(model.parameters(), nonfinite="skip")
    for t in range(STEPS):
        x, y = batch(t, rank)

        def loss(t: int = t, x: Tensor = x, y: Tensor = y) -> Tensor:
            value: Tensor = (model(x) - y).square().mean() / 2
            return value + torch.nan if (t, rank) == (2, 1) else value

        opt.step(loss)
    assert opt.counters.skipped == 1
    return whole(model)


def sent(rank: int) -> list[Tensor]:
    """CompressedSGD inside DDP's exchange of gradients; the other channels must agree on every process."""
    model = DistributedDataParallel(Uneven())
    opt = steepest.CompressedSGD(model.parameters(), lr=0.1, keep=0.3)
    opt.channel.attach(model, opt)  # type: ignore[attr-defined]
    train(CASES["CompressedSGD"], model, opt, range(STEPS), rank)
    return whole(model)


def averaged(rank: int | None) -> list[Tensor]:
    """Shards as they are and at their average, twice, and trained on; outputs, averages and weights at the end."""
    model = Uneven() if rank is None else sharded()
    opt = steepest.DoG(model.parameters(), reps_rel=1e-2, point=steepest.point.Average(gamma=1))
    train(CASES["DoG"], model, opt, range(3), rank)
    with torch.no_grad():
        outputs = [model(batch(9)[0])]  # FSDP keeps these weights gathered
        with opt.averaged():
            outputs.append(model(batch(9)[0]))
            inside = whole(model)
        outputs.append(model(batch(9)[0]))
        opt.eval()
        assert torch.equal(model(batch(9)[0]), outputs[1])
        if rank is not None:  # saved with the weights of training, and gathered anew after loading
            opt.load_state_dict(opt.state_dict())
            assert torch.equal(model(batch(9)[0]), outputs[1])
        opt.train()
        assert torch.equal(model(batch(9)[0]), outputs[0])
    assert torch.equal(outputs[0], outputs[2])
    train(CASES["DoG"], model, opt, range(3, STEPS), rank)
    return [*outputs, *inside, *whole(model)]


MODES: dict[str, Mode] = {"ddp": ddp, "fsdp": fsdp, "resumed": resumed, "spoiled": spoiled, "lost": lost}


def _try(run: Callable[..., list[Tensor]], *args: Any) -> list[Tensor] | str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, and that a step was skipped, once per process
            weights = run(*args)
        others = [torch.zeros_like(torch.cat([w.flatten() for w in weights])) for _ in range(WORLD)]
        dist.all_gather(others, torch.cat([w.flatten() for w in weights]))
        assert torch.equal(others[0], others[1]), "processes ended at different weights"
        return weights
    except (Exception, CheckpointException):  # noqa: BLE001 -- whatever went wrong is the result
        return traceback.format_exc()


def job(rank: int, folder: str) -> None:
    """What each process runs."""
    from tests.contract import ranks_interplay, ranks_whole  # whose tasks are made of what stands above

    tasks: dict[str, Task] = {
        f"{m}-{n}": functools.partial(mode, case) for m, mode in MODES.items() for n, case in CASES.items()
    }
    run({**tasks, "sent": sent, "averaged": averaged, **ranks_interplay.TASKS, **ranks_whole.TASKS}, rank, folder)


def run(tasks: Mapping[str, Task], rank: int, folder: str) -> None:
    """Meet the other process, do all tasks with it, leave a file of results, and end."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=WORLD,
                            timeout=datetime.timedelta(seconds=15))  # fmt: skip
    results: dict[str, Any] = {}
    lost = ""
    for key, task in tasks.items():
        results[key] = lost or _try(task, rank)
        if isinstance(results[key], str) and re.search("[Tt]imed? ?out|closed by peer", results[key]):
            lost = f"not run: the processes lost each other in {key}: {results[key]}"
    torch.save(results, Path(folder) / f"rank{rank}.pt")
    if not lost:
        leave()
