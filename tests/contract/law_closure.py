"""Laws of the closure: however often a method asks, the world outside sees one question."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.contract.case import Case
from tests.contract.law import different, finite, law, one_gradient, same, tolerance
from tests.contract.world import World, ask, in_parts, start, walk


def _streams() -> list[Any]:
    """Where the three global random streams stand."""
    name, keys, *rest = np.random.get_state()  # noqa: NPY002 -- the global stream is what must not be touched
    return [torch.get_rng_state(), random.getstate(), name, torch.from_numpy(np.asarray(keys).astype(np.int64)), rest]


@law()
def making_and_stepping_draw_nothing(case: Case) -> None:
    """No random stream outside moves: not at construction, not in a step, not at its first refresh of anything."""
    world = World()
    before = _streams()
    opt = case(world.params())
    walk(case, world, opt, 5)
    same(_streams(), before)


@law("plain", "own_backward", "micro_batches")
def randomness_moves_on_as_after_one_question(case: Case, style: str) -> None:
    """After ``step(closure)`` with dropout every stream stands where one call of the closure leaves it."""
    world = World(noisy=True)
    opt = case(world.params())
    for t in range(3):

        def closure(t: int = t) -> Tensor:
            return world.loss(t) if style == "plain" else in_parts(world, opt, t, 2 if style == "micro_batches" else 1)

        torch.manual_seed(t)
        kept = {k: v.clone() for k, v in world.model.state_dict().items()}
        closure()
        expected = _streams()
        world.model.load_state_dict(kept)
        world.model.zero_grad()
        torch.manual_seed(t)
        opt.step(closure)
        same(_streams(), expected)


@law("plain", "own_backward", "micro_batches")
def dropout_is_replayed_and_norms_count_once(case: Case, style: str) -> None:
    """All questions of a step see one dropout mask, different in each step; running statistics move once a step."""
    torch.manual_seed(0)
    world, shadow = World(noisy=True), World(noisy=True)
    opt = case(world.params())
    loose = tolerance(case, "dropout_is_replayed_and_norms_count_once")
    masks: list[Tensor] = []
    dropout = world.model.get_submodule("middle.1")
    dropout.register_forward_hook(lambda module, x, out: masks.append((out != 0).clone()))
    parts = 2 if style == "micro_batches" else 1
    halves = [slice(k * 8 // parts, (k + 1) * 8 // parts) for k in range(parts)]
    firsts = []
    for t in range(3):

        def closure(t: int = t) -> Tensor:
            if style == "plain":
                return world.loss(t)
            return in_parts(world, opt, t, parts)

        shadow.load(world.weights())
        with torch.random.fork_rng():
            for rows in halves:
                shadow.loss(t, rows)
        opt.step(closure)
        for name, buffer in world.model.named_buffers():
            same(buffer, shadow.model.get_buffer(name), loose=loose, where=name)
        whole = [m for m in masks if len(m) == 8 // parts]
        if parts == 1:
            assert len(whole) >= max(case.forwards, case.backwards)
            assert all(torch.equal(mask, masks[0]) for mask in masks)
        firsts.append(masks[0])
        masks.clear()
    assert not all(torch.equal(mask, firsts[0]) for mask in firsts)


def _zero(style: str, world: World, opt: Any) -> None:
    """Gradients away, in one of the ways people have."""
    if style in ("none", "zero"):
        opt.zero_grad(set_to_none=style == "none")
    elif style == "model":
        world.model.zero_grad(set_to_none=False)
    for p in world.params() if style in ("hand", "data") else ():
        if p.grad is not None:
            (p.grad if style == "hand" else p.grad.data).zero_()


@law("none", "zero", "model", "hand", "data")
def a_closure_may_call_backward_itself(case: Case, style: str) -> None:
    """torch's own closures, with ``zero_grad`` and ``backward`` inside, go where plain ones go."""
    plain, ours = start(case)
    for t in range(5):
        ours.step(partial(plain.loss, t))
    world, opt = start(case)
    for t in range(5):

        def closure(t: int = t) -> Tensor:
            _zero(style, world, opt)
            loss = world.loss(t)
            loss.backward()
            return loss

        opt.step(closure)
    same(world.weights(), plain.weights())


@law()
def a_closure_adds_to_what_is_there(case: Case) -> None:
    """In torch's style without ``zero_grad``, as trainers call it after other micro-batches; who asks again says no."""
    whole, ours = start(case)
    world, opt = start(case)
    for t in range(3):

        def rest(t: int = t) -> Tensor:
            loss = world.loss(t, slice(5, 8)) * (3 / 8)
            loss.backward()
            return loss

        before = world.weights()
        in_two(whole, ours, t, case.closure)
        opt.zero_grad()
        (world.loss(t, slice(5)) * (5 / 8)).backward()
        if case.forwards > 1 or case.searches:
            try:
                opt.step(rest)
            except RuntimeError as error:
                assert "go through all micro-batches" in str(error)
                same(world.weights(), before, loose=tolerance(case, "a_closure_that_raises_changes_nothing"))
                return
            assert not case.backwards or case.name == "SMB", "it asked for a part of the loss"
            return
        opt.step(rest)
        if not case.uses_loss:
            same(world.weights(), whole.weights())


def in_two(world: World, opt: Any, t: int, asks: bool) -> None:
    """A step of the whole batch in two micro-batches, by one closure or by two backwards."""

    def closure() -> Tensor:
        opt.zero_grad()
        parts = world.loss(t, slice(5)) * (5 / 8), world.loss(t, slice(5, 8)) * (3 / 8)
        for part in parts:
            part.backward()
        return (parts[0] + parts[1]).detach()

    if asks:
        opt.step(closure)
    else:
        closure()
        opt.step()


@law()
def autocast_is_the_closures(case: Case) -> None:
    """A step called under autocast is one whose closure enters it: nothing of the method itself is done in 16 bits."""
    outside, ours = start(case)
    world, opt = start(case)
    for t in range(4):

        def inside(t: int = t) -> Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                return world.loss(t)

        opt.step(inside)
        with torch.autocast("cpu", torch.bfloat16):
            ours.step(partial(outside.loss, t))
    same(outside.weights(), world.weights())


@law(concerns=one_gradient)
def a_closure_is_not_needed(case: Case) -> None:
    """Methods of one gradient go the same way with a closure as after ``backward``."""
    first, one = start(case)
    second, two = start(case)
    walk(case, first, one, 5)
    for t in range(5):
        two.step(partial(second.loss, t))
    same(first.weights(), second.weights())


@law("new", "one_buffer")
def the_loss_comes_back(case: Case, style: str) -> None:
    """``step(closure)`` returns the loss where the step began, without its graph, also from one buffer for all answers."""
    world, opt = start(case)
    buffer = torch.zeros(())

    def in_buffer(t: int) -> Tensor:
        loss = world.loss(t)
        opt.zero_grad()
        loss.backward()
        return buffer.copy_(loss.detach())

    for t in range(3):
        expected = world.loss(t).detach()
        found = opt.step(partial(world.loss if style == "new" else in_buffer, t))
        assert not found.requires_grad
        same(found.float().reshape(()), expected, loose=tolerance(case, "the_loss_comes_back"))


def _answer(value: Any) -> Any:
    return value


@law()
def a_closure_without_a_loss_is_named(case: Case) -> None:
    """None or a vector instead of the loss is refused in one sentence, and the weights are where they were."""
    world, opt = start(case)
    ask(case, opt, lambda: world.loss(0))
    before = world.weights()
    for nonsense in (None, torch.ones(3)):
        try:
            opt.step(partial(_answer, nonsense))
        except TypeError as error:
            assert "scalar" in str(error)
        else:
            raise AssertionError(f"{nonsense!r} was taken for a loss")
        same(world.weights(), before, loose=tolerance(case, "a_closure_that_raises_changes_nothing"))


def _fails_at(world: World, t: int, call: int) -> Callable[[], Tensor]:
    calls = 0

    def closure() -> Tensor:
        nonlocal calls
        calls += 1
        if calls == call:
            raise KeyError("out of data")
        return world.loss(t)

    return closure


@law("1", "2", "3", "4")
def a_closure_that_raises_changes_nothing(case: Case, call: str) -> None:
    """If the closure raises at any question, the weights and the state are as before, and training goes on."""
    world, opt = start(case)
    walk(case, world, opt, 3)
    before, kept = world.weights(), [dict(g, params=None) for g in opt.param_groups]
    moments = {p: {k: v.clone() if isinstance(v, Tensor) else v for k, v in s.items()} for p, s in opt.state.items()}
    try:
        opt.step(_fails_at(world, 3, int(call)))
    except KeyError as error:
        assert error.args == ("out of data",)
        same(world.weights(), before, loose=tolerance(case, "a_closure_that_raises_changes_nothing"))
        same([dict(g, params=None) for g in opt.param_groups], kept)
        for p, s in moments.items():
            same(dict(opt.state[p]), s)
    else:
        assert case.searches or case.forwards < int(call)
    walk(case, world, opt, range(4, 7))
    assert finite(world.weights())
    assert different(world.weights(), before)


@law("plain", "own_backward")
def every_question_is_counted(case: Case, style: str) -> None:
    """Counters tell how many forwards and backwards were really done, and the table of methods tells it in advance."""
    world, opt = start(case)
    forwards = backwards = 0

    def forward(*_: Any) -> None:
        nonlocal forwards
        forwards += 1

    def backward(*_: Any) -> None:
        nonlocal backwards
        backwards += 1

    world.model.register_forward_hook(forward)
    world.params()[0].register_hook(backward)
    for t in range(5):

        def closure(t: int = t) -> Tensor:
            loss = world.loss(t)
            if style == "own_backward":
                opt.zero_grad()
                loss.backward()
            return loss

        if style == "plain":
            ask(case, opt, closure)
        else:
            opt.step(closure)
    counters = opt.counters
    assert counters.steps == 5
    if style == "plain":
        backwards -= counters.hvps  # each goes through the graph of the gradient once
        assert (counters.forwards, counters.backwards) == (forwards, backwards)
        assert backwards >= 5 * case.backwards if case.searches else backwards == 5 * case.backwards
        assert forwards >= 5 * case.forwards if case.searches else forwards == 5 * case.forwards
        assert counters.gradient_equivalents == forwards + 2 * backwards + 4 * counters.hvps
    else:
        assert counters.forwards <= forwards <= counters.forwards + 1  # the first time it tries without gradients
        assert counters.backwards == backwards
