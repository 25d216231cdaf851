"""A rate that suits Adam given to a method that finds its own step: said once, by name; schedules of a rate near 1 are not."""

from __future__ import annotations

import copy
import math
import re
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler as L
from torch.optim import swa_utils

import steepest
from tests.oracle.curved import OwnLabels

FINDS = sorted(name for name, m in steepest.methods.items() if m.reads_lr == "multiplies")
STEPS = 150


def make(name: str, **given: Any) -> steepest.Optimizer:
    return steepest.methods[name].make([torch.nn.Parameter(torch.tensor([1.0, -2.0]))], **given)


def one(opt: steepest.Optimizer) -> None:
    """A step that every method can take."""
    (x,) = (group["params"][0] for group in opt.param_groups[:1])
    opt.step(lambda: (x * x).sum() + 1.0)


def said(opt: steepest.Optimizer, course: Callable[[int], None], steps: int = STEPS) -> list[int]:
    """The steps at which something was said about lr; ``course`` is called before each."""
    found = []
    for t in range(steps):
        course(t)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            one(opt)
        found += [t for w in caught if "multiplies it by lr" in str(w.message)]
    return found


def rate(opt: steepest.Optimizer, lr: float) -> None:
    for group in opt.param_groups:
        group["lr"] = lr


def rated(opt: steepest.Optimizer, lr: float) -> steepest.Optimizer:
    rate(opt, lr)
    return opt


def test_which_methods_find_their_step_is_known() -> None:
    """By the part, and in the table; AdaGradNorm's lr is a length in units of x."""
    assert set(FINDS) == {
        "ADoG", "AdaGradSQR", "AdamSQR", "Auto", "BoxBacktracking", "DAdaptAdaGrad", "DAdaptAdam", "DAdaptDual",
        "DAdaptSGD", "DoG", "EllipsoidBacktracking", "LDoG", "OASIS", "PoNoS", "PoNoSPrec", "Prodigy", "SLS", "SPS", "TDoG",
        "UDoG",
    }  # fmt: skip
    assert steepest.methods["AdamW"].reads_lr == steepest.methods["AdaGradNorm"].reads_lr == "is the step"


@pytest.mark.parametrize("name", FINDS)
def test_a_rate_written_by_hand_is_noticed(name: str) -> None:
    """Once, at the second step at the latest, with the name of the method, the rate and what to do."""
    opt = make(name)
    rate(opt, 1e-3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(5):
            one(opt)
    (only,) = caught
    assert re.search(f"^{name} .* lr, which is 0.001 .*Leave lr out", str(only.message))
    assert only.filename == __file__


@pytest.mark.parametrize("name", sorted(set(steepest.methods) - set(FINDS)))
def test_where_lr_is_the_step_nothing_is_said(name: str) -> None:
    own: dict[str, Any] = {"BAR": {"pairs": ()}, "SophiaG": {"estimate": OwnLabels()}}
    opt = make(name, **own.get(name, {}))
    assert said(opt, lambda t: rate(opt, 1e-4), 3) == []


def nano(t: int) -> float:
    """nanoGPT's: a linear warm-up and a cosine to a tenth."""
    return 6e-4 * (t + 1) / 51 if t < 50 else 6e-5 + 0.5 * (1 + math.cos(math.pi * (t - 50) / 100)) * 5.4e-4


WRONG: dict[str, tuple[Callable[[steepest.Optimizer], Callable[[int], None]], range]] = {
    "constructor": (lambda o: lambda t: None, range(1, 2)),
    "constant from the second step on": (lambda o: lambda t: rate(o, 1e-3 if t else 1.0), range(1, 3)),
    "nanoGPT": (lambda o: lambda t: rate(o, nano(t)), range(50, 53)),
    "nanoGPT, long warm-up": (lambda o: lambda t: rate(o, 6e-4 * (t + 1) / 2001), range(99, 100)),
    "a drop after a warm-up": (lambda o: lambda t: rate(o, t / 10 if t < 11 else 1e-4), range(11, 13)),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_courses_that_never_come_near_one(what: str) -> None:
    """Said once, when it is known."""
    course, when = WRONG[what]
    opt = make("DoG", lr=1e-3 if what == "constructor" else 1.0)
    found = said(opt, course(opt))
    assert len(found) == 1 and found[0] in when, found


SMALL: dict[str, Callable[[steepest.Optimizer], Any]] = {
    "OneCycleLR": lambda o: L.OneCycleLR(o, max_lr=1e-3, total_steps=STEPS + 1, cycle_momentum=False),
    "SWALR": lambda o: swa_utils.SWALR(o, swa_lr=1e-3),
    "CyclicLR": lambda o: L.CyclicLR(o, 1e-4, 1e-3, step_size_up=20, cycle_momentum=False),
    "cosine from 1e-3": lambda o: L.CosineAnnealingLR(rated(o, 1e-3), STEPS),
}


@pytest.mark.parametrize("what", SMALL)
@pytest.mark.parametrize("name", ["Auto", "DAdaptAdam", "SPS", "SLS"])
def test_schedules_to_a_small_rate(name: str, what: str) -> None:
    opt = make(name)
    schedule = SMALL[what](opt)
    assert len(said(opt, lambda t: schedule.step() if t else None)) == 1


RIGHT: dict[str, Callable[[steepest.Optimizer], Any]] = {
    "LambdaLR, warm-up from 0": lambda o: L.LambdaLR(o, lambda t: min(1.0, t / 10_000)),
    "LambdaLR to 0": lambda o: L.LambdaLR(o, lambda t: max(0.0, 1 - t / STEPS)),
    "LinearLR": lambda o: L.LinearLR(o, 1e-4, total_iters=STEPS),
    "CosineAnnealingLR": lambda o: L.CosineAnnealingLR(o, STEPS),
    "CosineAnnealingWarmRestarts": lambda o: L.CosineAnnealingWarmRestarts(o, 40),
    "ExponentialLR": lambda o: L.ExponentialLR(o, 0.9),
    "StepLR": lambda o: L.StepLR(o, 30, 1e-2),
    "PolynomialLR": lambda o: L.PolynomialLR(o, STEPS - 5),
    "MultiplicativeLR": lambda o: L.MultiplicativeLR(o, lambda t: 0.9),
    "ConstantLR": lambda o: L.ConstantLR(o, 1e-2, 50),
    "OneCycleLR": lambda o: L.OneCycleLR(o, max_lr=1.0, total_steps=STEPS + 1, cycle_momentum=False),
    "CyclicLR": lambda o: L.CyclicLR(o, 1e-3, 1.0, step_size_up=70, cycle_momentum=False),
    "SWALR": lambda o: swa_utils.SWALR(o, swa_lr=0.5),
    "SequentialLR": lambda o: L.SequentialLR(
        o, [L.LinearLR(o, 1e-3, total_iters=50), L.CosineAnnealingLR(o, 100)], [50]
    ),
    "LinearDecay of ours": lambda o: steepest.schedule.LinearDecay(o, STEPS + 1, warmup=60),
}


@pytest.mark.parametrize("what", RIGHT)
@pytest.mark.parametrize("name", ["Auto", "DoG"])
def test_schedules_of_a_rate_near_one_are_let_be(name: str, what: str) -> None:
    """torch's usual ones as they are given to an optimizer at its default."""
    opt = make(name)
    schedule = RIGHT[what](opt)
    assert said(opt, lambda t: schedule.step() if t else None) == []


def test_plateaus_are_let_be() -> None:
    """ReduceLROnPlateau leaves no word in the group; its steps are small enough."""
    opt = make("DoG")
    plateau = L.ReduceLROnPlateau(opt, factor=0.1, patience=0)
    assert said(opt, lambda t: plateau.step(1.0), 30) == []
    assert opt.param_groups[0]["lr"] < 1e-5


BY_HAND: dict[str, Callable[[int], float]] = {
    "warm-up from 0": lambda t: min(1.0, t / 1000),
    "cosine": lambda t: 0.5 * (1 + math.cos(math.pi * t / STEPS)),
    "linear to 0": lambda t: 1 - t / STEPS,
    "exponential rise": lambda t: min(1.0, 1e-7 * 1.2**t),
    "off for a while": lambda t: 0.0 if t % 3 else 1.0,
    "a tenth": lambda t: 0.1,
}


@pytest.mark.parametrize("what", BY_HAND)
def test_schedules_by_hand_that_begin_or_end_near_one_are_let_be(what: str) -> None:
    opt = make("DoG")
    assert said(opt, lambda t: rate(opt, BY_HAND[what](t))) == []


def test_groups_may_have_small_rates_if_one_has_not() -> None:
    """Layer-wise rates are meant."""
    p = [torch.nn.Parameter(torch.ones(2)) for _ in range(2)]
    opt = steepest.Auto([{"params": p[:1], "lr": 1e-3}, {"params": p[1:], "lr": 1.0}])
    assert said(opt, lambda t: None, 5) == []


def test_a_resumed_run_may_be_at_the_end_of_its_schedule() -> None:
    """What has taken steps has come from somewhere; a copy knows what its original knew."""
    opt = make("DoG")
    assert said(opt, lambda t: None, 3) == []
    saved = opt.state_dict()
    saved["param_groups"][0]["lr"] = 0.01
    again = make("DoG")
    again.load_state_dict(saved)
    assert said(again, lambda t: rate(again, 0.01 - t * 1e-4), 5) == []
    told = make("DoG", lr=1e-3)
    assert len(said(told, lambda t: None, 3)) == 1
    assert said(copy.deepcopy(told), lambda t: None, 3) == []


def test_an_assembly_is_named_by_its_step_size_and_a_tensor_is_a_rate() -> None:
    x = torch.nn.Parameter(torch.ones(2))
    opt = steepest.Optimizer([x], torch.tensor(1e-3), step_size=steepest.stepsize.DoG())
    one(opt)
    with pytest.warns(UserWarning, match="^DoG finds its step size itself"):
        one(opt)
