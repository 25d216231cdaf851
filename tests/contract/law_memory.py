"""Laws of memory: who owns it, who sees that it was written, and what follows when a parameter is replaced in its group.

Pruning, growing vocabularies and densifying Gaussian splats put other tensors in the place of parameters; averaging and
offloading give them other memory.  An optimizer that goes by what it saw at its first step reads and writes where
nothing of its own is any more.
"""

from __future__ import annotations

import gc
import weakref

import torch
from torch import nn

import steepest
from tests.contract.case import Case
from tests.contract.law import different, finite, law, same, states, tolerance
from tests.contract.world import World, start, walk


def _replace(world: World, opt: steepest.Optimizer, keep: bool) -> None:
    """Put a new tensor in the place of each parameter, in the model and in the group, with its state or without."""
    new = {}
    for name, p in list(world.model.named_parameters()):
        new[p] = nn.Parameter(p.detach().clone())
        setattr(world.model, name, new[p])
        state = opt.state.pop(p, None)
        if state is not None and keep:
            opt.state[new[p]] = state
    for group in opt.param_groups:
        group["params"][:] = [new[p] for p in group["params"]]


@law("with its state", "without")
def a_replaced_parameter_is_trained(case: Case, how: str) -> None:
    """The new tensor moves, from its state where that was carried over, and the old one does not."""
    plain, ours = start(case)
    walk(case, plain, ours, 6)
    world, opt = start(case)
    walk(case, world, opt, 3)
    old, before = world.params(), world.weights()
    _replace(world, opt, how == "with its state")
    walk(case, world, opt, range(3, 6))
    same([p.detach() for p in old], before)
    assert different(world.weights(), before)
    assert finite([*world.weights(), *states(opt)])
    assert set(opt.state) <= set(world.params()), "state of a tensor that is in no group"
    if how == "with its state":
        same(world.weights(), plain.weights(), loose=tolerance(case, "a_replaced_parameter_is_trained"))


@law()
def a_pruned_parameter_is_trained(case: Case) -> None:
    """A shorter tensor in the place of a long one: nothing is read or written past its end."""
    long = nn.Parameter(torch.linspace(-1, 1, 12000).view(4000, 3))
    opt = case([long])
    for _ in range(2):
        opt.step(lambda: (long - 2).square().sum())
    short = nn.Parameter(long.detach()[:5].clone())
    opt.state.pop(long, None)
    long.grad = None
    opt.param_groups[0]["params"][0] = short
    before = short.detach().clone()
    for _ in range(3):
        opt.step(lambda: (short + 3).square().sum())
    assert finite([short]) and not torch.equal(short, before)


@law()
def an_appended_parameter_is_trained(case: Case) -> None:
    """``param_groups[0]["params"].append(p)`` after the first step works as in torch."""
    first, second = (nn.Parameter(torch.linspace(0.2, 1, 8).view(2, 4)) for _ in range(2))
    opt = case([first])
    for _ in range(2):
        opt.step(lambda: (first - 2).square().sum())
    opt.param_groups[0]["params"].append(second)
    before = second.detach().clone()
    for _ in range(3):
        opt.step(lambda: (first - 2).square().sum() + (second + 3).square().sum())
    assert not torch.equal(second, before) and finite([first, second])


@law()
def weights_are_freed_with_the_optimizer(case: Case) -> None:
    """Giving up model and optimizer frees both at once, not when cycles are next collected."""
    gc.collect()
    gc.disable()
    try:
        world, opt = start(case)
        walk(case, world, opt, 2)
        seen = [weakref.ref(t) for t in (*world.params(), *states(opt))]
        del world, opt
        assert [ref() for ref in seen] == [None] * len(seen), "kept alive by a cycle"
    finally:
        gc.enable()


@law(concerns=lambda case: case.name != "MeZO")
def older_graphs_are_refused(case: Case) -> None:
    """Backward through a graph that is older than the step raises, as after torch's own optimizers."""
    world, opt = start(case)
    older = torch.stack([p.square().sum() for p in world.params()]).sum()
    walk(case, world, opt, 2)
    said = ""
    try:
        older.backward()
    except RuntimeError as error:
        said = str(error)
    assert "modified by an inplace operation" in said, "backward with weights that the graph has not seen"
