"""Laws of accidents: NaN and infinity are refused or left out as configured, with a GradScaler and without."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from tests.contract.case import Case
from tests.contract.law import different, finite, frozen, law, one_gradient, same, states, tolerance
from tests.contract.world import World, ask, start, walk

BAD = {"nan": float("nan"), "inf": float("inf")}


def _spoiled(world: World, t: int, where: str, value: float, call: int) -> Callable[[], Tensor]:
    """A closure whose loss or one gradient is not finite, at a given question."""
    calls = 0

    def closure() -> Tensor:
        nonlocal calls
        calls += 1
        loss = world.loss(t)
        if calls != call:
            return loss
        if where == "loss":
            return loss + value
        p = world.params()[1]
        return loss + p[0] * 0.0 if not torch.is_grad_enabled() else _Spoil.apply(loss, p, value)

    return closure


class _Spoil(torch.autograd.Function):
    """The identity, whose gradient puts a bad value into one entry of a parameter's gradient."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor, p: Tensor, value: float) -> Tensor:
        ctx.save_for_backward(p)
        ctx.value = value
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        (p,) = ctx.saved_tensors
        bad = torch.zeros_like(p)
        bad[1] = ctx.value
        return g, bad, None


PLACES = ("loss-nan-1", "gradient-nan-1", "gradient-inf-1", "gradient-nan-2", "gradient-nan-3", "gradient-nan-4")


def _reaches(case: Case, place: str) -> bool:
    where, _, call = place.split("-")
    if where == "loss":
        return True
    return case.backwards >= int(call)


def _accident(case: Case, world: World, opt: Any, place: str) -> None:
    """One step whose evidence is spoiled at the given place."""
    where, value, call = place.split("-")
    closure = _spoiled(world, 3, where, BAD[value], int(call))
    if case.closure or where == "loss":
        opt.step(closure)
    else:
        ask(case, opt, closure)


@law(*PLACES)
def raise_means_nothing_changed(case: Case, place: str) -> None:
    """``nonfinite="raise"`` raises in one sentence, with weights and state as they were."""
    if not _reaches(case, place):
        return
    world, opt = start(case, nonfinite="raise")
    walk(case, world, opt, 3)
    weights, kept = world.weights(), frozen(opt)
    try:
        _accident(case, world, opt, place)
    except RuntimeError as error:
        assert "NaN or infinite" in str(error)
        assert "\n" not in str(error)
    else:
        raise AssertionError("nothing was raised")
    same(world.weights(), weights, loose=tolerance(case, "raise_means_nothing_changed"))
    same(frozen(opt), kept)


@law(*PLACES)
def skip_means_it_never_was(case: Case, place: str) -> None:
    """``nonfinite="skip"`` warns once, counts, and goes on as if the batch had not been."""
    if not _reaches(case, place):
        return
    clean, ours = start(case)
    walk(case, clean, ours, 3)
    walk(case, clean, ours, range(4, 8))
    world, opt = start(case, nonfinite="skip")
    walk(case, world, opt, 3)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        _accident(case, world, opt, place)
    assert len(heard) == 1
    assert "NaN or infinite" in str(heard[0].message)
    _accident(case, world, opt, place)  # a second warning would be an error
    assert opt.counters.skipped == 2
    walk(case, world, opt, range(4, 8))
    assert finite([*world.weights(), *states(opt)])
    same(world.weights(), clean.weights(), loose=tolerance(case, "skip_means_it_never_was"))
    same(frozen(opt), frozen(ours), loose=tolerance(case, "skip_means_it_never_was"))


@law(*PLACES)
def guard_lets_nothing_in(case: Case, place: str) -> None:
    """The default writes no NaN anywhere, warns once, counts, and descends afterwards."""
    if not _reaches(case, place):
        return
    world, opt = start(case)
    walk(case, world, opt, 3)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        _accident(case, world, opt, place)
    assert finite([*world.weights(), *states(opt)])
    touched = case.uses_loss or not place.startswith("loss")
    assert [("NaN or infinite" in str(w.message)) for w in heard] == [True] * touched
    _accident(case, world, opt, place)  # a second warning would be an error
    assert opt.counters.skipped == 2 * touched
    before = world.overall()
    walk(case, world, opt, case.row.steps)
    assert finite([*world.weights(), *states(opt)])
    assert world.overall() < before


@law(concerns=lambda case: one_gradient(case) and not case.row.whole)
def guard_stops_only_what_is_spoiled(case: Case) -> None:
    """A NaN in one entry of a gradient keeps that entry's weight, and does not touch other tensors."""
    clean, ours = start(case)
    walk(case, clean, ours, 4)
    world, opt = start(case)
    before = walk(case, world, opt, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that something was left out is what this law wants
        _accident(case, world, opt, "gradient-nan-1")
    after, expected = world.weights(), clean.weights()
    same(after[1][1], before[1][1])
    same([after[0], *after[2:]], [expected[0], *expected[2:]])


@law(concerns=one_gradient)
def propagate_means_what_torch_does(case: Case) -> None:
    """``nonfinite="propagate"`` asks nothing: NaN reaches weights or state."""
    world, opt = start(case, nonfinite="propagate")
    walk(case, world, opt, 3)
    _accident(case, world, opt, "gradient-nan-1")
    assert not finite([*world.weights(), *states(opt)])


def _scaler() -> torch.amp.GradScaler:
    return torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=2)


def _scaled(case: Case, world: World, opt: Any, scaler: Any, closure: Callable[[], Tensor]) -> None:
    """One step as users of a GradScaler write it."""
    if case.closure:
        opt.step(closure, scaler=scaler)
    else:
        opt.zero_grad()
        scaler.scale(closure()).backward()
        scaler.step(opt)
    scaler.update()


@law()
def a_scaler_changes_nothing(case: Case) -> None:
    """Scales are powers of two, so a run under a GradScaler is the run without it, to the bit."""
    plain, ours = start(case)
    world, opt = start(case)
    scaler = _scaler()
    for t in range(5):
        ask(case, ours, partial(plain.loss, t))
        _scaled(case, world, opt, scaler, partial(world.loss, t))
    same(world.weights(), plain.weights())
    assert scaler.get_scale() == 4096.0


@law(concerns=one_gradient)
def a_scaler_may_be_handed_to_the_step(case: Case) -> None:
    """``step(closure, scaler=scaler)`` works for methods of one gradient too."""
    plain, ours = start(case)
    world, opt = start(case)
    scaler = _scaler()
    for t in range(4):
        ask(case, ours, partial(plain.loss, t))
        opt.step(partial(world.loss, t), scaler=scaler)
        scaler.update()
    same(world.weights(), plain.weights())


@law("scaled", "clipped", concerns=lambda case: case.backwards > 0)
def a_closure_may_scale_and_clip(case: Case, style: str) -> None:
    """torch's recipe goes into the closure: scale, backward, ``unscale_``, clip, in each question anew."""
    plain, ours = start(case)
    world, opt = start(case)
    scaler = _scaler()
    for t in range(5):

        def closure(t: int = t, world: World = plain, opt: Any = ours, scaler: Any = None) -> Tensor:
            opt.zero_grad()
            loss = world.loss(t)
            (loss if scaler is None else scaler.scale(loss)).backward()
            if style == "clipped":
                if scaler is not None:
                    scaler.unscale_(opt)
                torch.nn.utils.clip_grad_norm_(world.params(), 0.05)
            return loss.detach()

        ours.step(closure)
        opt.step(partial(closure, t, world, opt, scaler), scaler=scaler)
        scaler.update()
    same(world.weights(), plain.weights())
    assert scaler.get_scale() == 4096.0


@law("1", "2", "3", "4", concerns=lambda case: case.backwards > 0)
def an_overflow_skips_and_lowers_the_scale(case: Case, call: str) -> None:
    """An infinite gradient in any pass leaves weights and state alone and halves the scale; then training goes on."""
    if case.backwards < int(call):
        return
    world, opt = start(case)
    scaler = _scaler()
    for t in range(3):
        _scaled(case, world, opt, scaler, partial(world.loss, t))
    weights, kept, scale = world.weights(), frozen(opt), scaler.get_scale()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that the step was skipped is what this law wants
        _scaled(case, world, opt, scaler, _spoiled(world, 3, "gradient", BAD["inf"], int(call)))
    same(world.weights(), weights)
    same(frozen(opt), kept)
    assert scaler.get_scale() == scale / 2
    for t in range(4, 7):
        _scaled(case, world, opt, scaler, partial(world.loss, t))
    assert finite([*world.weights(), *states(opt)])
    assert different(world.weights(), weights)
