"""Laws of accidents for whoever finds its own step: one bad batch must not freeze a method, nor throw it away.

Every method of the family runs on one smooth convex loss; at the first or the sixth step something happens once.  Then
it has time, and must come at least as near as an undisturbed run comes in half the steps.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import steepest
from tests.contract.case import CASES
from tests.laws.common import matrices

METHODS = [name for name, known in steepest.methods.items() if known.area == "stepsize"]
STEPS, AT = 200, 5
ROWS = matrices(12, 3, 0)

#: what happens to the loss of one step
ACCIDENTS: dict[str, Callable[[Tensor], Tensor]] = {
    "zero": lambda loss: loss * 0.0,
    "nan": lambda loss: loss * torch.nan,
    "infinite": lambda loss: loss * torch.inf,
    "exploding": lambda loss: loss * 1e3,
}


def reasons(kind: str) -> dict[str, dict[str, str]]:
    """Accident, with its step if it matters -> method -> why it is worse off ever after; it must be."""
    found: dict[str, dict[str, str]] = {}
    for name, case in CASES.items():
        for accident, reason in getattr(case.row, kind).items():
            found.setdefault(accident, {})[name] = reason
    return found


EXCEPTIONS = reasons("worse")
UNGUARDED = reasons("unguarded")  # the papers' methods, without the guard that ours have


def bowl(x: Tensor) -> Tensor:
    """Convex and smooth, its least value 0 at (1, -2, 1/2)."""
    r = ROWS @ (x - torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64))
    return (torch.sqrt(1 + r * r) - 1).mean()


def run(
    name: str, accident: str = "", at: int = AT, steps: int = STEPS, **options: Any
) -> tuple[list[float], list[float]]:
    """The losses after each step, and the lengths of the moves."""
    x = nn.Parameter(torch.tensor([2.0, 1.0, 0.3], dtype=torch.float64))
    options |= {"weight_decay": 0.0} if "weight_decay" in CASES[name].row.small else {}
    opt = CASES[name]([x], **options)
    losses, moves = [], []
    for t in range(steps):
        before = x.detach().clone()

        def closure(t: int = t) -> Tensor:
            return ACCIDENTS[accident](bowl(x)) if accident and t == at else bowl(x)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that something was left out
            opt.step(closure)
        losses.append(float(bowl(x.detach())))
        moves.append(float((x.detach() - before).norm()))
        if losses[-1] < 1e-12:
            break
    return losses, moves


def case(name: str, *words: object) -> object:
    """A row of the table; an exception is marked and must fail."""
    law = "-".join(map(str, words))
    why = EXCEPTIONS.get(law, {}).get(name)
    return pytest.param(*words, name, id=f"{law}-{name}", marks=[pytest.mark.xfail(reason=why)] if why else [])


@pytest.mark.parametrize(
    ("accident", "at", "name"), [case(n, accident, at) for accident, at, n in product(ACCIDENTS, (0, AT), METHODS)]
)
def test_one_accident_is_survived(accident: str, at: int, name: str) -> None:
    """The loss is finite, ends below where it was, and no worse than undisturbed after half the steps."""
    undisturbed, _ = run(name)
    losses, _ = run(name, accident, at)
    assert all(map(math.isfinite, losses))
    assert min(losses) < losses[at]
    assert min(losses) <= min(undisturbed[: STEPS // 2]) + 1e-9


@pytest.mark.parametrize(("at", "name"), [(int(law[-1]), name) for law, rows in UNGUARDED.items() for name in rows])
def test_the_guard_is_what_saves_it(at: int, name: str) -> None:
    """The control: as the paper has it, the method is worse off ever after (UNGUARDED says why)."""
    paper = steepest.oracle.Oracle()
    undisturbed, _ = run(name, oracle=paper)
    assert min(run(name, "exploding", at, oracle=paper)[0]) > min(undisturbed[: STEPS // 2]) + 1e-9
    assert CASES[name]([nn.Parameter(torch.ones(1))]).oracle.inner


@pytest.mark.parametrize(("accident", "name"), [case(n, accident) for accident, n in product(ACCIDENTS, METHODS)])
def test_nobody_freezes(accident: str, name: str) -> None:
    """Long after the accident it has arrived, or still makes moves that matter."""
    losses, moves = run(name, accident)
    assert losses[-1] < 1e-9 or max(moves[-20:]) > 1e-4


@pytest.mark.parametrize(("at", "name"), list(product((0, AT), METHODS)))
def test_a_spike_left_out_does_no_harm(at: int, name: str) -> None:
    """With ``oracle.SkipSpikes`` everybody survives the exploding batch; the tests above are the control."""
    guard = steepest.oracle.SkipSpikes()
    undisturbed, _ = run(name)
    losses, moves = run(name, "exploding", at, oracle=guard)
    assert all(map(math.isfinite, losses))
    assert min(losses) <= min(undisturbed[: STEPS // 2]) + 1e-9
    assert losses[-1] < 1e-9 or max(moves[-20:]) > 1e-4
    moved = losses[guard.listen - 1 :]  # before that it only listened
    if at:
        del moved[at + 1 - guard.listen]
    assert moved[:40] == undisturbed[: len(moved[:40])], "to the bit as if the batch had never been"


@pytest.mark.parametrize("name", METHODS)
def test_what_stays_large_becomes_usual(name: str) -> None:
    """A loss that is a hundred times steeper from some step on is descended again after half a window."""
    window = 8
    x = nn.Parameter(torch.tensor([2.0, 1.0, 0.3], dtype=torch.float64))
    opt = CASES[name]([x], oracle=steepest.oracle.SkipSpikes(window=window, listen=1))
    before = None
    for t in range(AT + window):
        if t == AT:
            before = x.detach().clone()
        opt.step(lambda t=t: bowl(x) * (100.0 if t >= AT else 1.0) + 0.1 * x.square().sum())  # type: ignore[misc]
    assert before is not None
    assert 1 <= opt.counters.skipped <= window // 2 + 1
    assert not torch.equal(x.detach(), before)
