"""The record of gradient norms: right numbers, cheap, whole under shards, and nothing lost when a run is killed."""

from __future__ import annotations

import datetime
import json
import math
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

import steepest
from steepest.schedule import Norms, Record, refine
from tests.contract.ranks import Uneven, batch
from tests.processes import leave


def known(gs: list[torch.Tensor]) -> tuple[float, float]:
    flat = torch.cat([g.detach().double().flatten() for g in gs])
    return float(flat.square().sum().sqrt()), float(flat.abs().sum())


def model() -> tuple[torch.nn.Module, Any]:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    x = torch.randn(16, 5)
    return net, lambda: net(x).square().mean()


@pytest.mark.parametrize("closure", [False, True])
@pytest.mark.parametrize("make", [steepest.AdamW, steepest.SAM, torch.optim.AdamW])
def test_the_numbers_are_right(make: Any, closure: bool) -> None:
    net, loss = model()
    opt = make(net.parameters(), lr=0.1)
    norms = Norms(opt)
    expected = []
    for _ in range(4):
        if make is torch.optim.AdamW and closure:
            opt.step(lambda: (opt.zero_grad(), loss().backward())[1])
        elif closure or make is steepest.SAM:
            opt.step(loss)
        else:
            opt.zero_grad()
            loss().backward()
            opt.step()
        expected.append(known([p.grad for p in net.parameters() if p.grad is not None]))
    assert list(zip(norms.record.l2, norms.record.l1, strict=True)) == [pytest.approx(e, rel=1e-6) for e in expected]
    norms.close()
    opt.step(loss) if make is not torch.optim.AdamW else opt.step()
    assert len(norms.record) == 4


def test_types_gaps_and_infinities() -> None:
    a = torch.nn.Parameter(torch.zeros(3, dtype=torch.bfloat16))
    b = torch.nn.Parameter(torch.zeros(2, dtype=torch.float64))
    c = torch.nn.Parameter(torch.zeros(2))
    opt = torch.optim.SGD([a, b, c], lr=0.0)
    norms = Norms(opt)
    a.grad, b.grad = torch.full_like(a, 3.0), torch.full_like(b, 4.0)
    opt.step()
    opt.zero_grad()
    opt.step()
    c.grad = torch.tensor([1.0, math.inf])
    opt.step()
    assert norms.record.l2[0] == pytest.approx(math.sqrt(27 + 32))
    assert norms.record.l1[0] == 17
    assert math.isnan(norms.record.l2[1])
    assert math.isinf(norms.record.l2[2])


def run(path: Path, steps: int, **more: Any) -> Norms:
    net, loss = model()
    opt = steepest.SGD(net.parameters(), lr=0.1)
    norms = Norms(opt, path, **more)
    for _ in range(steps):
        opt.step(loss)
    return norms


def test_a_file_is_complete_after_every_step(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    norms = run(path, 3)
    lines = path.read_text().splitlines()  # nothing was closed
    assert json.loads(lines[0]) == {"steepest": "norms", "version": 1, "optimizer": "SGD"}
    assert [json.loads(line)["t"] for line in lines[1:]] == [1, 2, 3]
    assert Record.load(path) == norms.record
    with pytest.raises(FileExistsError, match="resume=True"):
        run(path, 1)
    assert path.read_text().splitlines() == lines
    assert len(run(path, 2, resume=True).record) == 5
    assert len(Record.load(path)) == 5


def test_a_step_that_had_no_number_is_null_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    x = torch.nn.Parameter(torch.ones(2))
    opt = torch.optim.SGD([x], lr=0.0)
    Norms(opt, path)
    for value in (1.0, math.nan, 1.0):
        x.grad = torch.full((2,), value)
        opt.step()
    assert '"l2": null' in path.read_text().splitlines()[2]
    assert math.isnan(Record.load(path).l1[1])
    assert refine(Record.load(path)) == [1.0, 0.5, 0.0]


def test_a_torn_line_is_left_out_and_an_earlier_checkpoint_counts(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    norms = run(path, 6)
    saved = norms.state_dict()
    whole = path.read_bytes()
    for cut in range(1, len(whole.splitlines(True)[-1])):
        path.write_bytes(whole[:-cut])
        assert len(Record.load(path)) == 5
    path.write_bytes(whole[:-4])
    again = run(path, 1, resume=True)
    assert again.record.l2[:5] == norms.record.l2[:5]
    assert Record.load(path) == again.record
    net, loss = model()
    opt = steepest.SGD(net.parameters(), lr=0.1)
    back = Norms(opt, path, resume=True)
    back.load_state_dict({name: values[:2] for name, values in saved.items()})  # the checkpoint was older than the file
    opt.step(loss)
    assert len(back.record) == 3
    assert Record.load(path) == back.record


@pytest.mark.parametrize("text", ["", "{}\n", "3\n", "not json\n", '{"steepest": "schedule", "optimizer": ""}\n'])
def test_what_is_no_record(text: str, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError, match="no record of gradient norms"):
        Record.load(path)


@pytest.mark.parametrize("line", ["oops", "{}", '{"t": 5, "l2": 1.0, "l1": 1.0}', '{"t": 2, "l2": "x", "l1": 1.0}'])
def test_a_damaged_record_names_the_line(line: str, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    head = '{"steepest": "norms", "version": 1, "optimizer": "SGD"}\n{"t": 1, "l2": 1.0, "l1": 1.0}\n'
    path.write_text(f"{head}{line}\n")
    with pytest.raises(ValueError, match="damaged in line 3"):
        Record.load(path)


def test_a_full_disk_does_not_end_the_training(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no device that is always full")
    norms = run(tmp_path / "run.jsonl", 1)
    norms._file = os.open("/dev/full", os.O_WRONLY)
    with pytest.warns(UserWarning, match="no longer written"):
        norms._write("a line\n")
    norms._write("said once\n")


@pytest.mark.xdist_group("processes")
def test_a_killed_run_keeps_every_step(tmp_path: Path) -> None:
    """SIGKILL in the middle: every step that was reported done is in the file."""
    path = tmp_path / "run.jsonl"
    code = f"""
        import torch
        from steepest.schedule import Norms
        x = torch.nn.Parameter(torch.ones(1))
        opt = torch.optim.SGD([x], lr=0.1)
        Norms(opt, {str(path)!r})
        for t in range(10**6):
            x.grad = torch.ones(1)
            opt.step()
            print(t + 1, flush=True)
    """
    job = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    assert job.stdout is not None
    for _ in range(50):
        done = int(job.stdout.readline())
    job.send_signal(signal.SIGKILL)
    rest = job.communicate()[0].split()
    done = int(rest[-1]) if rest else done
    assert len(Record.load(path)) >= done


def sharded(rank: int, folder: str) -> None:
    """FSDP2 and DDP on two processes: the whole gradient's norms on both, written by one."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2,
                            timeout=datetime.timedelta(seconds=60))  # fmt: skip
    records = []
    for kind in ("fsdp", "ddp"):
        net: torch.nn.Module = Uneven()
        if kind == "fsdp":
            fully_shard(net, mesh=init_device_mesh("cpu", (2,)))
        else:
            net = torch.nn.parallel.DistributedDataParallel(net)
        opt = steepest.AdamW(net.parameters(), lr=0.1)
        norms = Norms(opt, f"{folder}/{kind}.jsonl")
        for t in range(3):
            x, y = batch(t, rank)
            opt.zero_grad()
            ((net(x) - y).square().mean() / 2).backward()
            opt.step()
        records.append((norms.record.l2, norms.record.l1))
    torch.save(records, f"{folder}/{rank}.pt")
    leave()


@pytest.mark.xdist_group("processes")
def test_shards_are_added_up(tmp_path: Path) -> None:
    net = Uneven()
    opt = steepest.AdamW(net.parameters(), lr=0.1)
    alone = Norms(opt)
    for t in range(3):
        x, y = batch(t)
        opt.zero_grad()
        ((net(x) - y).square().mean() / 2).backward()
        opt.step()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    context = multiprocessing.get_context("spawn")
    jobs = [context.Process(target=sharded, args=(rank, str(tmp_path))) for rank in range(2)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(100)
        assert job.exitcode == 0
    for rank in range(2):
        for l2, l1 in torch.load(tmp_path / f"{rank}.pt", weights_only=True):
            assert l2 == pytest.approx(alone.record.l2, rel=1e-4)
            assert l1 == pytest.approx(alone.record.l1, rel=1e-4)
    for kind in ("fsdp", "ddp"):
        assert len(Record.load(tmp_path / f"{kind}.jsonl")) == 3
