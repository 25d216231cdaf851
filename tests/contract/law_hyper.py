"""Laws of hyper-parameters: what stands in a group when a step begins is what the step uses, and nothing is recompiled."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.optim import lr_scheduler

import steepest
from steepest.engine import lift, trace
from steepest.engine.build import build
from tests.contract.case import Case
from tests.contract.law import different, frozen, law, one_gradient, same, tolerance
from tests.contract.world import World, ask, start, walk

STEPS = 8


def _cycles(opt: torch.optim.Optimizer) -> bool:
    return "betas" in opt.defaults or "momentum" in opt.defaults


SCHEDULERS: dict[str, Callable[[torch.optim.Optimizer, float], Any]] = {
    "step": lambda opt, lr: lr_scheduler.StepLR(opt, 3, 0.5),
    "cosine": lambda opt, lr: lr_scheduler.CosineAnnealingLR(opt, STEPS),
    "one_cycle": lambda opt, lr: lr_scheduler.OneCycleLR(
        opt, lr * 2, total_steps=STEPS + 1, cycle_momentum=_cycles(opt)
    ),
    "cyclic": lambda opt, lr: lr_scheduler.CyclicLR(opt, lr / 2, lr, 2, cycle_momentum=_cycles(opt)),
    "lambda": lambda opt, lr: lr_scheduler.LambdaLR(opt, lambda t: (t + 1) / STEPS),
    "warmup": lambda opt, lr: lr_scheduler.SequentialLR(
        opt, [lr_scheduler.LinearLR(opt, 0.1, total_iters=3), lr_scheduler.ExponentialLR(opt, 0.8)], [3]
    ),
    "ours": lambda opt, lr: steepest.schedule.LinearDecay(opt, STEPS, warmup=2),
    "plateau": lambda opt, lr: lr_scheduler.ReduceLROnPlateau(opt, factor=0.5, patience=0, threshold=10.0),
}


def _live(opt: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """The scheduled values as plain numbers."""
    return [{k: float(v) if k == "lr" else v for k, v in g.items() if k in ("lr", "betas", "momentum")}
            for g in opt.param_groups]  # fmt: skip


def _scheduled(case: Case, kind: str, lr: Any) -> tuple[list[Tensor], list[list[dict[str, Any]]]]:
    world = World()
    opt = case(world.params(), lr=lr)
    scheduler = SCHEDULERS[kind](opt, float(lr))
    seen = []
    for t in range(STEPS):
        seen.append(_live(opt))
        ask(case, opt, partial(world.loss, t))
        scheduler.step(*([world.overall()] if kind == "plateau" else []))
    return world.weights(), seen


@law(*SCHEDULERS)
def schedulers_are_heard(case: Case, kind: str) -> None:
    """A torch scheduler does what setting its values by hand before each step does, with lr a number or a tensor."""
    lr = float(case([nn.Parameter(torch.zeros(1))]).defaults["lr"])
    ends, seen = _scheduled(case, kind, lr)
    for option in (lr, torch.tensor(lr, dtype=torch.float64)) if kind != "step" else (lr,):
        if isinstance(option, Tensor):
            same(_scheduled(case, kind, option)[0], ends)
            continue
        world = World()
        opt = case(world.params(), lr=option)
        for t, values in enumerate(seen):
            for group, known in zip(opt.param_groups, values, strict=True):
                group.update(known)
            ask(case, opt, partial(world.loss, t))
        same(world.weights(), ends)
    constant = World()
    assert len({group["lr"] for values in seen for group in values}) > 1
    assert different(walk(case, constant, case(constant.params(), lr=lr), STEPS), ends)


#: values that differ from the row's and act on a small problem
OTHER: dict[str, float] = {"growth": 1.01, "growth_rate": 1.01, "eta_max": 0.05, "lower": -0.2, "upper": 0.2, "xi": 0.3,
                           "f_star": -0.2, "shrink": 0.4, "gamma": 1.1, "c": 0.9, "keep": 0.7, "l1": 0.2}  # fmt: skip

SELDOM = {"factor"}  # SkipSpikes': acts on a batch far too steep only; the rows of the oracle have some


def _hypers(opt: steepest.Optimizer) -> list[str]:
    """Names of the live hyper-parameters in a group."""
    names = [
        "lr",
        *(name for part in opt.parts() for name in part.hyper if name in opt.defaults and name not in SELDOM),
    ]
    return [*names, "betas"] if "betas" in opt.defaults else names


def _other(name: str, value: Any) -> Any:
    if name == "betas":
        return tuple(b * 0.8 for b in value)
    return OTHER.get(name, 0.6 * value if value > 2e-3 else 0.3)


@law()
def groups_have_values_of_their_own(case: Case) -> None:
    """Each hyper-parameter acts when set in the group, as it would have from the constructor."""
    plain_world, plain = start(case)
    plain_end = walk(case, plain_world, plain, 6)
    for name in _hypers(plain):
        value = _other(name, plain.param_groups[0][name])
        world, opt = start(case)
        opt.param_groups[0][name] = value
        end = walk(case, world, opt, 6)
        assert different(end, plain_end), f"{name} has no effect"
        made, grouped = World(), World()
        same(walk(case, grouped, case([{"params": grouped.params(), name: value}]), 6), end)
        if name in case.make.__init__.__code__.co_varnames or name == "lr":
            same(walk(case, made, case(made.params(), **{name: value}), 6), end)


@law()
def lr_zero_is_no_move(case: Case) -> None:
    """A group with lr = 0 stays where it is while the others move; a projection is done whatever lr is."""
    world = World()
    opt = case([{"params": world.params()[:1]}, {"params": world.params()[1:], "lr": 0.0}])
    before = world.weights()
    after = walk(case, world, opt, 3)
    assert different(before[:1], after[:1])
    same(after[1:], before[1:], loose=tolerance(case, "lr_zero_is_no_move"))


OPTIONS: dict[str, Any] = {"lr": 0.06, "maximize": True}  # a smaller rate for all is said to be one, where 1 is usual


@law(*OPTIONS, concerns=lambda case: one_gradient(case) and not case.row.whole)
def a_group_goes_as_it_would_alone(case: Case, option: str) -> None:
    """Two groups with an lr each, or two players with a sign each, are two optimizers."""
    pair, solo = World(), World()
    other = {option: OPTIONS[option]}
    joint = case([{"params": pair.params()[:2]}, {"params": pair.params()[2:], **other}])
    alone = case(solo.params()[:2]), case(solo.params()[2:], **other)
    for t in range(5):
        for world, opts in ((pair, (joint,)), (solo, alone)):
            world.model.zero_grad()
            world.loss(t).backward()
            for opt in opts:
                opt.step()
    same(pair.weights(), solo.weights())


@law()
def splitting_a_group_changes_nothing(case: Case) -> None:
    """One group or two with equal values: the same trajectory."""
    world, opt = start(case)
    end = walk(case, world, opt, 6)
    split = World()
    p = split.params()
    same(walk(case, split, case([{"params": p[:2]}, {"params": p[2:]}]), 6), end,
         loose=tolerance(case, "splitting_a_group_changes_nothing"))  # fmt: skip


@law()
def nothing_is_compiled_twice(case: Case) -> None:
    """After the first steps no schedule makes the engine trace, print or compile anything again."""
    world, opt = start(case)
    walk(case, world, opt, 4)
    traced = []

    def count(*args: Any) -> Any:
        traced.append(args)
        return trace.trace(*args)

    built = build.cache_info()
    with patch.object(lift, "trace", count):
        for t in range(4, 54):
            group = opt.param_groups[0]
            for name in _hypers(opt):
                value = group[name]
                group[name] = tuple(b * 0.999 for b in value) if name == "betas" else value * 0.999
            ask(case, opt, partial(world.loss, t))
    assert not traced
    assert build.cache_info() == built


@law()
def maximizing_is_minimizing_the_negative(case: Case) -> None:
    """``maximize=True`` climbs the negated loss exactly where the loss is descended, from the constructor or per group."""
    ends, kept = [], []
    for up in (None, "constructor", "group"):
        world = World()
        opt = case([{"params": world.params(), "maximize": True}] if up == "group" else world.params(),
                   maximize=up == "constructor")  # fmt: skip
        sign = -1.0 if up else 1.0

        def payoff(t: int, world: World = world, sign: float = sign) -> Tensor:
            return sign * world.loss(t)

        before = world.weights()
        for t in range(6):
            ask(case, opt, partial(payoff, t))
        ends.append(world.weights())
        kept.append(list(frozen(opt)["state"].values()))
        assert different(before, ends[-1])
    same(ends[1], ends[0])
    same(ends[2], ends[1])
    same(kept[2], kept[1])
