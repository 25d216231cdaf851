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
_SUM = "the sum of squared gradients never forgets, so steps are shorter ever after, as in the paper"
_FAR = "the estimate of the distance never falls, so one huge gradient leaves steps too long, as in the paper"
_MEAN = "the reference is the mean of all losses, so a huge one allows ascent for long, as in the paper"
_CUT = "the set of step sizes is cut for ever: the paper has one loss, the same in each step"
_SECOND = "Adam's second moment remembers the huge gradient for 1/(1 - β₂) steps, and η follows slowly or has a bound"
_THROW = "the first trial is lr ‖g‖ long and the model may turn it but need not shorten it, as in the paper"
_UNITS = (
    "it is blind to the units of x, in which a guard would measure; with SkipSpikes() by hand it recovers, see below"
)
_SWAY = "at a constant rate it sways around the minimum, and from where it begins anew a little further"
_WAIT = "the gradient that waits is used at its full length, whatever the next batch says, as in the paper"
_CUTS = dict.fromkeys(("BoxBacktracking", "EllipsoidBacktracking"), _CUT)
_SUMS = dict.fromkeys(("ADoG", "AdaGradNorm", "DoG", "LDoG", "TDoG", "UDoG"), _SUM)
_FARS = dict.fromkeys(("DAdaptAdaGrad", "DAdaptAdam", "DAdaptDual", "DAdaptSGD"), _FAR)
#: accident, its step if it matters -> method -> why it is worse off ever after; it must be
EXCEPTIONS: dict[str, dict[str, str]] = {
    "exploding-0": {"AdaGradSQR": _UNITS, "PoNoS": _MEAN, "SMB": _THROW, "DAdaptAdaGrad": _SWAY, "DAdaptSGD": _SWAY},
    "exploding-5": {"AdaGradSQR": _UNITS},
    "exploding": {"AdaGradSQR": _UNITS},
}
#: the same for the papers' methods, without the guard that ours have
UNGUARDED: dict[str, dict[str, str]] = {
    "exploding-0": {**_CUTS, **_SUMS, **_FARS, "PoNoSPrec": _SECOND, "SMBi": _WAIT},
    "exploding-5": {**_CUTS, **_SUMS, **_FARS, "PoNoSPrec": _SECOND},
}


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
