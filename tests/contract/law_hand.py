"""Laws of the user's hand: weights and state are the user's tensors, and may be replaced, re-laid, cast or cleared."""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import steepest
from tests.contract.case import Case
from tests.contract.law import finite, law, same, states, tolerance
from tests.contract.world import World, start, walk


def _swap(world: World, opt: steepest.Optimizer) -> None:
    """What averaging and quantisation do: the same numbers in other memory."""
    for p in world.params():
        p.grad, p.data = None, p.data.clone()


def _relay(world: World, opt: steepest.Optimizer) -> None:
    """What ``model.to(memory_format=...)`` does."""
    for p in world.params():
        p.grad = None
        p.data = p.data.T.contiguous().T if p.dim() == 2 else p.data.clone()


def _replace(world: World, opt: steepest.Optimizer) -> None:
    """What surgery on state does: each tensor becomes an equal one."""
    for p in world.params():
        for name, value in opt.state.get(p, {}).items():
            if isinstance(value, Tensor):
                opt.state[p][name] = value.clone()
                value.fill_(77)


def _offload(world: World, opt: steepest.Optimizer) -> None:
    """What moving state to another device and back does: the same tensors with other memory."""
    for value in states(opt):
        old, value.data = value.data, value.data.clone()
        old.fill_(77)


HANDS: dict[str, Callable[[World, Any], None]] = {
    "swap": _swap,
    "relay": _relay,
    "replace": _replace,
    "offload": _offload,
}


@law(*HANDS)
def tensors_may_be_changed_by_hand(case: Case, how: str) -> None:
    """Equal weights or state in other memory, or laid out otherwise, go on as before."""
    plain, ours = start(case)
    walk(case, plain, ours, 7)
    world, opt = start(case)
    walk(case, world, opt, 4)
    HANDS[how](world, opt)
    walk(case, world, opt, range(4, 7))
    loose = tolerance(case, f"tensors_may_be_changed_by_hand-{how}")
    same(world.weights(), plain.weights(), loose=loose)
    same([dict(s) for s in opt.state.values()], [dict(s) for s in ours.state.values()], loose=loose)


@law("cleared", "assigned")
def state_may_be_forgotten(case: Case, how: str) -> None:
    """An optimizer whose state is emptied by hand begins anew where it stands, and its checkpoint shows it."""
    world, opt = start(case)
    walk(case, world, opt, 3)
    if how == "cleared":
        opt.state.clear()
    else:
        opt.state = collections.defaultdict(dict)
    again = World()
    again.load(world.weights())
    fresh = case(again.params())
    walk(case, world, opt, range(3, 6))
    walk(case, again, fresh, range(3, 6))
    assert bool(opt.state) == bool(fresh.state)
    assert finite([*world.weights(), *states(opt)])
    if not case.row.whole:
        same(world.weights(), again.weights())
        same([dict(s) for s in opt.state.values()], [dict(s) for s in fresh.state.values()])


@law("bfloat16", "float64")
def weights_may_be_cast(case: Case, dtype: str) -> None:
    """``model.to(dtype)`` in mid-run goes on with the state there is, up to rounding."""
    plain, ours = start(case)
    walk(case, plain, ours, 6)
    world, opt = start(case)
    walk(case, world, opt, 4)
    kind = getattr(torch, dtype)
    world.model.to(kind)
    world.x, world.y = world.x.to(kind), world.y.to(kind)
    walk(case, world, opt, range(4, 6))
    assert all(w.dtype is kind for w in world.weights())
    assert finite([*world.weights(), *states(opt)])
    for a, b in zip(world.weights(), plain.weights(), strict=True):
        torch.testing.assert_close(a.float(), b, rtol=0.1, atol=0.1 if dtype == "bfloat16" else 1e-3)
