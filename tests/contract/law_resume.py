"""Laws of going on: a run that was saved, copied, pickled or enlarged continues as if nothing had happened, to the bit."""

from __future__ import annotations

import copy
import pickle
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tests.contract.case import Case
from tests.contract.law import different, finite, frozen, law, one_gradient, same, through_file
from tests.contract.world import World, ask, start, walk

#: one before, at, and after the refresh of a chart at step 4
STOPS = (2, 3, 4)


@law("float32", "bfloat16", "int8")
def a_file_is_enough(case: Case, codec: str) -> None:
    """A fresh object that loads a checkpoint with ``weights_only=True`` goes on to the bit; so does the one that saved."""
    world, opt = start(case, codec=codec)
    files, done = {}, 0
    for stop in STOPS:
        walk(case, world, opt, range(done, stop))
        files[stop], done = through_file({"opt": opt.state_dict(), "model": world.model.state_dict()}), stop
    walk(case, world, opt, range(done, 8))
    for stop, file in files.items():
        again = World()
        again.model.load_state_dict(file["model"])
        other = case(again.params(), codec=codec)
        other.load_state_dict(file["opt"])
        walk(case, again, other, range(stop, 8))
        same(again.weights(), world.weights())
        same(frozen(other), frozen(opt))
        same(other.counters.as_dict(), opt.counters.as_dict())


@law()
def a_run_can_be_rewound(case: Case) -> None:
    """Loading into an optimizer that has gone further forgets what came since; the loaded dict is left as it was."""
    world, opt = start(case)
    walk(case, world, opt, 3)
    weights, file = world.weights(), through_file(opt.state_dict())
    kept = copy.deepcopy(file)
    first = walk(case, world, opt, range(3, 7))
    world.load(weights)
    opt.load_state_dict(file)
    same(walk(case, world, opt, range(3, 7)), first)
    same(file, kept)


@law("float32", "int8")
def another_codec_reads_it(case: Case, codec: str) -> None:
    """A checkpoint of one codec loads under another, and the descent goes on."""
    other = {"float32": "int8", "int8": "float32"}[codec]
    world, opt = start(case, codec=codec)
    walk(case, world, opt, 4)
    again = World()
    again.load(world.weights())
    reader = case(again.params(), codec=other)
    reader.load_state_dict(through_file(opt.state_dict()))
    assert [s["step"] for s in reader.state.values()] == [s["step"] for s in opt.state.values()]
    before = again.overall()
    walk(case, again, reader, range(4, 4 + case.row.steps))
    assert finite(again.weights())
    assert again.overall() < before


@law()
def another_model_is_refused(case: Case) -> None:
    """A checkpoint of other groups is refused in one sentence and changes nothing."""
    world, opt = start(case)
    walk(case, world, opt, 2)
    kept = frozen(opt)
    stranger = case(World().params()[:2])
    try:
        opt.load_state_dict(stranger.state_dict())
    except ValueError as error:
        assert "\n" not in str(error)
    else:
        raise AssertionError("a checkpoint of two parameters was taken for four")
    same(frozen(opt), kept)


@law("float32", "int8")
def damage_is_refused_whole(case: Case, codec: str) -> None:
    """A tensor of another length, a step that is none or a learning rate that is NaN: one sentence, and nothing changed."""
    world, opt = start(case, codec=codec)
    walk(case, world, opt, 2)
    saved = through_file(opt.state_dict())
    damaged = [{**saved, "param_groups": [{**g, "lr": float("nan")} for g in saved["param_groups"]]}]
    for index, entry in saved["state"].items():
        for name, value in entry.items():
            own = name in ("step", "mu_product")  # torch's product of NAdam's momenta is not read
            other: Any = torch.zeros(value.numel() + 1) if isinstance(value, Tensor) and not own else value
            other = 0.5 if name == "step" else other
            if other is not value:
                damaged.append({**saved, "state": {**saved["state"], index: {**entry, name: other}}})
    walk(case, world, opt, range(2, 4))
    kept = frozen(opt)
    for one in damaged:
        try:
            opt.load_state_dict(one)
        except ValueError as error:
            assert "\n" not in str(error)
        else:
            raise AssertionError("a damaged checkpoint was taken")
        same(frozen(opt), kept)


@law(concerns=one_gradient)
def what_others_keep_survives(case: Case) -> None:
    """A wrapper's tensors beside the method's own, and keys that are no parameters."""
    world, opt = start(case)
    walk(case, world, opt, 2)
    p = world.params()[0]
    everything: dict[Any, Any] = opt.state
    opt.state[p]["of a wrapper"], everything["epoch"] = torch.arange(3), 3
    again = World()
    again.load(world.weights())
    other = case(again.params())
    other.load_state_dict(through_file(opt.state_dict()))
    same(other.state[again.params()[0]].get("of a wrapper"), torch.arange(3))
    same(frozen(other), frozen(opt))
    walk(case, again, other, range(2, 4))


@law("deepcopy", "pickle")
def copies_go_on_alone(case: Case, how: str) -> None:
    """A copy made in mid-run goes on to the bit, and neither disturbs the other."""
    world, opt = start(case)
    walk(case, world, opt, 4)
    pair = (world, opt)
    other, twin = copy.deepcopy(pair) if how == "deepcopy" else pickle.loads(pickle.dumps(pair))
    assert type(twin) is type(opt)
    assert twin.param_groups[0]["params"][0] is other.params()[0]
    assert other.params()[0] is not world.params()[0]
    end = walk(case, world, opt, range(4, 8))
    same(walk(case, other, twin, range(4, 8)), end)
    same(frozen(twin), frozen(opt))
    same(world.weights(), end)


@law()
def a_group_can_be_added(case: Case) -> None:
    """Parameters that join in mid-run are trained with hyper-parameters of their own, and leave the others alone."""
    world, opt = start(case)
    walk(case, world, opt, 3)
    late = nn.Parameter(torch.tensor([0.5, -0.4, 0.2]))
    opt.add_param_group({"params": [late], "lr": opt.defaults["lr"] * 0.5})
    beginning = late.detach().clone()

    def aim(p: Tensor, t: int) -> Tensor:
        return (p - 0.1 * t).square().mean()

    def loss(t: int) -> Tensor:
        return world.loss(t) + aim(late, t)

    for t in range(3, 8):
        ask(case, opt, partial(loss, t))
    assert different([beginning], [late.detach()])
    assert finite([late.detach(), *world.weights()])
    again = World()
    again.load(world.weights())
    twin = nn.Parameter(late.detach().clone())
    other = case([{"params": again.params()}, {"params": [twin]}])
    other.load_state_dict(through_file(opt.state_dict()))
    same(frozen(other), frozen(opt))
    if case.row.whole:
        return
    lone, single = start(case)
    walk(case, lone, single, 8)
    same(world.weights(), lone.weights())
    own = nn.Parameter(beginning.clone())
    opt = case([own], lr=opt.defaults["lr"] * 0.5)
    for t in range(3, 8):
        ask(case, opt, partial(aim, own, t))
    same(own.detach(), late.detach())


@law()
def hooks_are_called(case: Case) -> None:
    """Step hooks and state_dict hooks fire once each, in order, whatever the number of questions in a step."""
    world, opt = start(case)
    heard: list[str] = []

    def says(word: str) -> Any:
        return lambda *_: heard.append(word)

    opt.register_step_pre_hook(says("before"))
    opt.register_step_post_hook(says("after"))
    opt.register_state_dict_pre_hook(says("saving"))
    opt.register_state_dict_post_hook(says("saved"))
    opt.register_load_state_dict_pre_hook(says("loading"))
    opt.register_load_state_dict_post_hook(says("loaded"))
    walk(case, world, opt, 2)
    assert heard == ["before", "after"] * 2
    heard.clear()
    opt.load_state_dict(opt.state_dict())
    assert heard == ["saving", "saved", "loading", "loaded"]


@law()
def frozen_and_unused_groups_stay(case: Case) -> None:
    """Parameters with ``requires_grad=False`` keep their bits, in a group of their own or among others, and thaw later."""
    world = World()
    still, alone = nn.Parameter(torch.ones(3), requires_grad=False), nn.Parameter(torch.ones(2, 2), requires_grad=False)
    opt = case([{"params": [still, *world.params()]}, {"params": [alone]}])
    before = world.weights()
    walk(case, world, opt, 3)
    same([still.detach(), alone.detach()], [torch.ones(3), torch.ones(2, 2)])
    assert not opt.state.get(still)
    assert different(before, world.weights())
    still.requires_grad_(True)
    world.params()[1].requires_grad_(False)

    def loss(t: int) -> Tensor:
        return world.loss(t) + (still - 0.5).square().sum()

    for t in range(3):
        world.params()[1].grad = None
        held = world.weights()[1]
        ask(case, opt, partial(loss, t))
        same(world.weights()[1], held)
    assert different([still.detach()], [torch.ones(3)])
    assert finite([still.detach(), *world.weights()])


class Tied(nn.Module):
    """One matrix used twice under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.into = nn.Parameter(torch.randn(4, 3, generator=torch.Generator().manual_seed(0)) * 0.5)
        self.out = self.into

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x @ self.into) @ self.out.T


@law()
def tied_weights_are_one(case: Case) -> None:
    """A parameter with two names moves once, by the sum of its gradients, and stays tied."""
    x = torch.randn(6, 4, generator=torch.Generator().manual_seed(3))
    tied, plain = Tied(), nn.Parameter(Tied().into.detach().clone())
    one, two = case(tied.parameters()), case([plain])
    for _ in range(4):
        ask(case, one, lambda: (tied(x) - x).square().mean())
        ask(case, two, lambda: (torch.tanh(x @ plain) @ plain.T - x).square().mean())
    assert tied.into is tied.out
    assert len(one.state) <= 1
    same(tied.into.detach(), plain.detach())
    assert different([plain.detach()], [Tied().into.detach()])


@law(concerns=one_gradient)
def saved_state_is_plain(case: Case) -> None:
    """A checkpoint holds tensors, numbers, words and None only."""
    world, opt = start(case)
    walk(case, world, opt, 2)

    def plain(value: Any) -> bool:
        if isinstance(value, dict):
            return all(plain(v) for v in value.values())
        if isinstance(value, (list, tuple)):
            return all(map(plain, value))
        return value is None or type(value) in (Tensor, int, float, bool, str)

    assert plain(opt.state_dict())
