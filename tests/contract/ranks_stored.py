"""What two processes with a part of each parameter save and load, and how they round.

Tasks for the pair that ``ranks.job`` starts: an optimizer's own ``state_dict`` under every codec, checkpoints by
``torch.distributed.checkpoint`` that go from two processes to two, from two to one and from one to two, and rounding by
the element's place in the whole parameter.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint import state_dict_loader, state_dict_saver
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    get_state_dict,
    set_optimizer_state_dict,
    set_state_dict,
)
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Shard, distribute_tensor

import steepest
from steepest.channel import FourBits
from steepest.core.stored import room
from steepest.engine import codec as codecs
from tests.contract import ranks
from tests.contract.case import CASES, Case

Task = Callable[[int], list[Tensor]]

#: what is saved and loaded by torch.distributed.checkpoint: method, codec, options
SAVED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "AdamW": ("AdamW", "float32", {}), "AdamW-bfloat16": ("AdamW", "bfloat16", {}), "AdamW-int8": ("AdamW", "int8", {}),
    "GaLore-int8": ("GaLore", "int8", {"rank": 2, "every": 100}), "CompressedSGD": ("CompressedSGD", "float32", {}),
    "ConEF": ("ConEF", "float32", {}), "ConEF-bits": ("ConEF", "float32", {"memory": FourBits()}),
    "Auto-int8": ("Auto", "int8", {}), "Adafactor": ("Adafactor", "float32", {}),
    "SM3-bfloat16": ("SM3", "bfloat16", {}), "NovoGrad-int8": ("NovoGrad", "int8", {}),
}  # fmt: skip
#: methods without sums over a tensor: the same gradients leave the same bits
EXACT = ("AdamW", "Lion", "NAdam", "AdaBelief")
#: torch hands out no list whose length differs from a fresh one's, as Auto's norms of past gradients
GATHERED = tuple(name for name in SAVED if name != "Auto-int8")
#: methods that work on whole tensors
HELD = ("GaLore", "CompressedSGD", "Adafactor", "NovoGrad")
LIFTS = ("native", "eager")
#: the mean over two processes is taken in another order
ROUNDING = 2e-5


def local(value: Any) -> Any:
    """This process's part."""
    return (
        value.to_local().clone()
        if hasattr(value, "to_local")
        else value.clone()
        if isinstance(value, Tensor)
        else value
    )


def frozen(opt: steepest.Optimizer) -> list[dict[str, Any]]:
    """A copy of this process's state."""
    return [{k: local(v) for k, v in opt.state[p].items()} for g in opt.param_groups for p in g["params"]]


def equal(now: list[dict[str, Any]], before: list[dict[str, Any]]) -> None:
    """The same names, and the same bits under each."""
    for a, b in zip(now, before, strict=True):
        assert a.keys() == b.keys()
        for name, value in a.items():
            same = torch.equal(value, b[name]) if isinstance(value, Tensor) else value == b[name]
            assert same, f"{name}: {value} is not {b[name]}"


def own(case: Case, codec: str, rank: int) -> list[Tensor]:
    """State that an optimizer saved is, loaded by another one, the same to the bit; it can train on."""
    model = ranks.sharded()
    opt = case(model.parameters(), codec=codec)
    ranks.train(case, model, opt, range(3), rank)
    before, saved = frozen(opt), opt.state_dict()
    fresh = case(model.parameters(), codec=codec)
    fresh.load_state_dict(saved)
    equal(frozen(fresh), before)
    equal(frozen(opt), before)
    ranks.train(case, model, fresh, range(3, 4), rank)
    return ranks.whole(model)


def make(name: str, model: nn.Module) -> tuple[Case, Any]:
    """A row of the contract and its optimizer for the model."""
    method, codec, options = SAVED[name]
    return CASES[method], CASES[method](model.parameters(), codec=codec, **options)


def load(name: str, model: nn.Module, path: str, **how: Any) -> tuple[Case, Any]:
    """A fresh optimizer, loaded from a folder."""
    case, opt = make(name, model)
    weights, state = get_state_dict(model, opt)
    both: dict[str, Any] = {"model": weights, "opt": state}
    state_dict_loader.load(both, checkpoint_id=path, **how)
    set_state_dict(model, opt, model_state_dict=both["model"], optim_state_dict=both["opt"])
    return case, opt


def save(model: nn.Module, opt: Any, path: str, **how: Any) -> None:
    """Model and optimizer into a folder."""
    weights, state = get_state_dict(model, opt)
    state_dict_saver.save({"model": weights, "opt": state}, checkpoint_id=path, **how)


def alone_mesh(rank: int) -> DeviceMesh:
    """A mesh of this process alone."""
    groups = [dist.new_group([r]) for r in range(ranks.WORLD)]
    mine: DeviceMesh = DeviceMesh.from_group(groups[rank], "cpu")
    return mine


def numbers(opt: steepest.Optimizer) -> list[Tensor]:
    """All state, decoded and gathered."""
    found = []
    for p in (p for g in opt.param_groups for p in g["params"]):
        entry = {k: local(v) for k, v in opt.state[p].items()}
        for key, value in entry.items():
            if not isinstance(value, Tensor) or key.endswith(codecs.SCALE):
                continue
            if value.dtype is torch.uint8 and key in opt.state_specs:
                kind = "q8s" if opt.state_specs[key].signed else "q8u"
                stored = value.flatten(), entry[key + codecs.SCALE]
                value = codecs.decode(kind, stored, torch.float32).view(value.shape)
            own = key == "P" or (key in opt.specs(p) and room(opt, p, key) is not None)  # the same on all
            if isinstance(p, DTensor) and not own:
                shape = torch.Size((p.shape[0], *value.shape[1:]))  # a channel's memory follows p's rows
                stride = p.stride() if shape == p.shape else torch.empty(shape, device="meta").stride()
                value = DTensor.from_local(value, p.device_mesh, p.placements, shape=shape, stride=stride)
                value = value.full_tensor()
            found.append(value.double())
    return found


def two_to_two(name: str, folder: str, rank: int) -> list[Tensor]:
    """Trained on from a checkpoint or without one, the weights are the same to the bit."""
    model = ranks.sharded()
    case, opt = make(name, model)
    ranks.train(case, model, opt, range(3), rank)
    save(model, opt, f"{folder}/{name}")
    before = frozen(opt)
    ranks.train(case, model, opt, range(3, ranks.STEPS), rank)
    other = ranks.sharded()
    case, fresh = load(name, other, f"{folder}/{name}")
    equal(frozen(fresh), before)
    ranks.train(case, other, fresh, range(3, ranks.STEPS), rank)
    for a, b in zip(ranks.whole(other), ranks.whole(model), strict=True):
        assert torch.equal(a, b)
    return ranks.whole(other)


def gathered(name: str, rank: int) -> list[Tensor]:
    """Flattened, gathered on both, gathered on the first process and handed out by it: the same state to the bit."""
    model = ranks.sharded()
    case, opt = make(name, model)
    ranks.train(case, model, opt, range(3), rank)
    flat, full = StateDictOptions(flatten_optimizer_state_dict=True), StateDictOptions(full_state_dict=True)
    first = StateDictOptions(full_state_dict=True, cpu_offload=True)
    for ours, theirs in ((flat, flat), (full, full),
                         (first, StateDictOptions(full_state_dict=True, broadcast_from_rank0=True))):  # fmt: skip
        saved = get_optimizer_state_dict(model, opt, options=ours)
        other = ranks.sharded()
        _, fresh = make(name, other)
        set_optimizer_state_dict(other, fresh, saved, options=theirs)
        equal(frozen(fresh), frozen(opt))
    return ranks.whole(model)


def two_to_one(name: str, folder: str, rank: int) -> list[Tensor]:
    """What two processes saved, in one (each of the pair is alone with whole batches): state, then two steps."""
    model = ranks.sharded()
    case, opt = make(name, model)
    ranks.train(case, model, opt, range(3), rank)
    save(model, opt, f"{folder}/{name}-down")
    before = numbers(opt)
    mesh = alone_mesh(rank)
    other = ranks.Uneven()
    fully_shard(other, mesh=mesh)
    case, fresh = load(name, other, f"{folder}/{name}-down", process_group=mesh.get_group())
    after = numbers(fresh)
    ranks.train(case, model, opt, range(3, ranks.STEPS), rank)
    ranks.train(case, other, fresh, range(3, ranks.STEPS), None)
    return [*before, *after, *ranks.whole(model), *ranks.whole(other)]


def one_to_two(name: str, folder: str, rank: int) -> list[Tensor]:
    """What one process saved that had whole, plain parameters, in two."""
    model = ranks.Uneven()
    case, opt = make(name, model)
    ranks.train(case, model, opt, range(3), None)
    before = numbers(opt)
    if rank == 0:
        save(model, opt, f"{folder}/{name}-up", no_dist=True)
    dist.barrier()
    other = ranks.sharded()
    case, fresh = load(name, other, f"{folder}/{name}-up")
    after = numbers(fresh)
    ranks.train(case, model, opt, range(3, ranks.STEPS), None)
    ranks.train(case, other, fresh, range(3, ranks.STEPS), rank)
    return [*before, *after, *ranks.whole(model), *ranks.whole(other)]


class Plain(nn.Module):
    """Parameters of which two processes have unequal parts; the last one's parts are whole blocks of 256."""

    def __init__(self, mesh: DeviceMesh | None) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(0)
        for i, shape in enumerate(((5, 6), (7,), (1,), (3, 500), (4, 256))):
            x = torch.randn(shape, generator=random)
            setattr(self, f"p{i}", nn.Parameter(x if mesh is None else distribute_tensor(x, mesh, [Shard(0)])))


def rounded(method: str, codec: str, lift: str, rank: int | None) -> list[Tensor]:
    """Weights after some steps with the same gradients; bytes in blocks of one's own differ, so only equal blocks go in."""
    mesh = None if rank is None else init_device_mesh("cpu", (ranks.WORLD,))
    params = [*Plain(mesh).parameters()][-1 if codec == "int8" else 0 :]
    opt = CASES[method](params, codec=codec, lift=lift)
    random = torch.Generator().manual_seed(1)
    for _ in range(ranks.STEPS):
        for p in params:
            g = torch.randn(p.shape, generator=random)
            p.grad = g if mesh is None else distribute_tensor(g, mesh, [Shard(0)])
        opt.step()
    return ranks.gathered(params)


def held_back(method: str, rank: int) -> list[Tensor]:
    """A NaN that is in one process's part of a gradient: both leave that parameter as it is, and only that."""
    mesh = init_device_mesh("cpu", (ranks.WORLD,))
    params = [*Plain(mesh).parameters()]
    opt = CASES[method](params, **SAVED.get(f"{method}-int8", ("", "", {}))[2])
    for t in range(3):
        before = ranks.gathered(params)
        for p in params:
            g = torch.ones(p.shape)
            g[-1] = torch.nan if p is params[3] and t == 1 else 1.0
            p.grad = distribute_tensor(g, mesh, [Shard(0)])
        opt.step()
        stood = [torch.equal(a, b) for a, b in zip(ranks.gathered(params), before, strict=True)]
        assert stood == [t == 1 and i == 3 for i in range(len(params))], stood
    assert opt.counters.skipped == 1
    return ranks.gathered(params)


WAYS = {"2to2": two_to_two, "2to1": two_to_one, "1to2": one_to_two}
ROUNDED = {f"rounded-{codec}-{lift}-{name}": partial(rounded, name, codec, lift)
           for name in (*EXACT, "Auto") for codec in ("bfloat16", "int8") for lift in LIFTS}  # fmt: skip
OWN = {f"own-{codec}-{name}": partial(own, case, codec) for codec in codecs.CODECS for name, case in CASES.items()}


def tasks(folder: str) -> dict[str, Task]:
    """All of them; checkpoints go into ``folder``."""
    moved = {f"{way}-{name}": partial(run, name, folder) for way, run in WAYS.items() for name in SAVED}
    held = {f"held-{name}": partial(held_back, name) for name in HELD}
    return {**OWN, **moved, **ROUNDED, **held, **{f"gathered-{name}": partial(gathered, name) for name in GATHERED}}


def job(rank: int, folder: str) -> None:
    """What each process runs."""
    ranks.run(tasks(folder), rank, folder)
