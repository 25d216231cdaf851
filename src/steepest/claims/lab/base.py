"""A claim is a paper's headline sentence as an experiment with an inequality, and a control on which it must fail.

The experiment is a function of two switches: `fast` (fewer seeds and steps) and `control` (the effect is taken away).
It returns numbers. The verdict is computed from them by the bounds, which are data and were written before the first
run; nothing else can make a claim hold. A check that passes with the effect removed measures something else, so then
the verdict is *not tested*, whatever the numbers are. The fast profile is too small for a verdict: it shows that the
experiment runs, and its numbers.
"""

from __future__ import annotations

import math
import operator
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

HELD, NOT_HELD, NOT_TESTED, TOO_SMALL = "held", "not held", "not tested", "too small to judge"
RELATIONS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "≤": operator.le, ">": operator.gt, "≥": operator.ge,
}  # fmt: skip

Numbers = Mapping[str, float]
Curve = tuple[Sequence[float], Sequence[Sequence[float]]]  # x, and y for each seed


def short(value: float) -> str:
    """A number as a person would write it; measured ones have been rounded before, by ``stable``.

    >>> short(0.912), short(12.0), short(3.2e-9)
    ('0.912', '12', '3.2e-09')
    """
    return f"{value:.0f}" if abs(value) < 1e6 and value == round(value) else f"{value:.7g}"


@dataclass(frozen=True)
class Source:
    """Where the sentence stands.

    Args:
        key: of references.bib.
        where: the place in the paper: abstract, theorem, figure.
    """

    key: str
    where: str


@dataclass(frozen=True)
class Bound:
    """One inequality: a measured number, a relation, a limit.

    Args:
        number: name of the number.
        relation: one of <, ≤, >, ≥.
        limit: what it is compared with.
        words: what the number is, how seeds are combined included.
    """

    number: str
    relation: Literal["<", "≤", ">", "≥"]
    limit: float
    words: str

    def passes(self, numbers: Numbers) -> bool:
        """Whether the measured number satisfies the inequality."""
        return RELATIONS[self.relation](numbers[self.number], self.limit)

    def __str__(self) -> str:
        return f"{self.words} {self.relation} {short(self.limit)}"


@dataclass(frozen=True)
class Lines:
    """A picture of curves.

    Args:
        title: what is shown.
        x: label of the axis.
        y: label of the axis.
        curves: by label; the first is the method under test.
        levels: horizontal lines by label.
        log: axes on a logarithmic scale: any of "x", "y", "xy".
    """

    title: str
    x: str
    y: str
    curves: Mapping[str, Curve]
    levels: Mapping[str, float] = field(default_factory=dict)
    log: str = ""


@dataclass(frozen=True)
class Dots:
    """A picture of one number a seed, in columns; equal places in the columns are the same seed.

    Args:
        title: what is shown.
        y: label of the axis.
        columns: by label; the first is the method under test.
        levels: horizontal lines by label.
        log: "y" for a logarithmic scale.
    """

    title: str
    y: str
    columns: Mapping[str, Sequence[float]]
    levels: Mapping[str, float] = field(default_factory=dict)
    log: str = ""


Panel = Lines | Dots


@dataclass(frozen=True)
class Measured:
    """What an experiment brings back.

    Args:
        numbers: all finite.
        panels: pictures.
        rivals: the bounds' numbers of trivial rivals by name (a fixed step, a method that stands still), which must fail.
    """

    numbers: Numbers
    panels: Sequence[Panel] = ()
    rivals: Mapping[str, Numbers] = field(default_factory=dict)


@dataclass(frozen=True)
class Claim:
    """A paper's sentence, made executable.

    Args:
        name: how the command line calls it.
        sentence: the paper's claim in our own words.
        source: where it stands.
        methods: names in ``steepest.methods``, or in a room that is public, that it is evidence for.
        bounds: the inequality; all of them must pass.
        experiment: ``experiment(fast, control)`` measures.
        control: what the control takes away, in words.
        seeds: of the full profile.
        minutes: of the full profile on two cores, the control included.
        untested: what could not be tested here.
        note: what a reader should know besides, changes of the experiment included.
        rows: ids of the catalogue of papers that it is evidence for; none: the paper is not in the catalogue.
        digits: significant digits of the numbers that are the same on another processor.
        regime: inequalities that say the experiment is in the regime of which the paper speaks; without it there is nothing
            to judge.
        unseen: what of the paper was never seen (its equation, say), so that the numbers stand there without a verdict.
    """

    name: str
    sentence: str
    source: Source
    methods: tuple[str, ...]
    bounds: tuple[Bound, ...]
    experiment: Callable[[bool, bool], Measured]
    control: str
    seeds: int
    minutes: float
    untested: str
    note: str = ""
    rows: tuple[str, ...] = ()
    digits: int = 3
    regime: tuple[Bound, ...] = ()
    unseen: str = ""

    @property
    def inequality(self) -> str:
        """All bounds in words."""
        return "; ".join(map(str, self.bounds))

    def run(self, fast: bool) -> Measured:
        """The experiment."""
        return self.experiment(fast, False)

    def run_control(self, fast: bool) -> Measured:
        """The experiment with the effect removed."""
        return self.experiment(fast, True)


@dataclass(frozen=True)
class Verdict:
    """What came out.

    Args:
        claim: its name.
        verdict: "held", "not held" or "not tested"; of the fast profile "too small to judge", or "not tested" if it broke.
        numbers: measured by the experiment, as many digits as are stable.
        control: measured by the control.
        reason: of the verdict, in words.
        seconds: for both runs.
        picture: an ``<svg>`` element, or None.
        fast: whether it was the fast profile.
        trace: of an exception, for whoever has to correct it.
        rivals: measured by the trivial rivals.
    """

    claim: str
    verdict: str
    numbers: Numbers
    control: Numbers
    reason: str
    seconds: float
    picture: str | None = None
    fast: bool = False
    trace: str = ""
    rivals: Mapping[str, Numbers] = field(default_factory=dict)


@contextmanager
def undisturbed() -> Any:
    """One thread, default types and torch's random state as they were before, whatever the experiment does."""
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            yield
    finally:
        torch.set_num_threads(threads)


def stable(claim: Claim, numbers: Numbers) -> dict[str, float]:
    """The numbers with the digits that are stable, and with more where a bound needs them to come out the same.

    >>> bound = Bound("x", "≤", 1.0, "x")
    >>> claim = Claim("a", "", Source("", ""), (), (bound,), lambda fast, control: Measured({}), "", 1, 1, "")
    >>> stable(claim, {"x": 1.00042, "y": 0.123456})
    {'x': 1.0004, 'y': 0.123}
    """
    return {name: _rounded(value, claim.digits, [b for b in claim.bounds + claim.regime if b.number == name])
            for name, value in numbers.items()}  # fmt: skip


def _rounded(value: float, digits: int, bounds: Sequence[Bound]) -> float:
    short_values = (float(f"{value:.{d}g}") for d in range(digits, 17))
    same = (v for v in short_values if all(b.passes({b.number: v}) == b.passes({b.number: value}) for b in bounds))
    return next(same, value)


def fails(bounds: Sequence[Bound], numbers: Numbers) -> list[str]:
    """The bounds that numbers break, in words with the measured value."""
    return [f"{b.words} is {short(numbers[b.number])}, not {b.relation} {short(b.limit)}"
            for b in bounds if not b.passes(numbers)]  # fmt: skip


def unusable(bounds: Sequence[Bound], numbers: Numbers) -> str:
    """Why these numbers cannot be judged, or nothing: a bound without its number, or a number that is not finite."""
    missing = [b.number for b in bounds if b.number not in numbers]
    infinite = [name for name, value in numbers.items() if not math.isfinite(value)]
    if missing:
        return f"did not measure {', '.join(missing)}"
    return f"measured no finite {', '.join(infinite)}" if infinite else ""


def incomplete(claim: Claim, numbers: Numbers, control: Numbers, rivals: Mapping[str, Numbers]) -> str:
    """Why these runs cannot be judged, or nothing."""
    if why := unusable(claim.bounds + claim.regime, numbers):
        return f"the experiment {why}"
    for who, measured in {"the control": control, **rivals}.items():
        if why := unusable(claim.bounds, measured):
            return f"{who} {why}"
    return ""


def too_small(
    claim: Claim, numbers: Numbers, control: Numbers, rivals: Mapping[str, Numbers] | None = None
) -> tuple[str, str]:
    """The numbers of a fast run beside what they would be compared with; a broken run is *not tested* in any profile."""
    if broken_run := incomplete(claim, numbers, control, rivals or {}):
        return NOT_TESTED, broken_run
    seen = (f"{b.words}: {short(numbers[b.number])}, control {short(control[b.number])} (in full {b.relation} {short(b.limit)})"
            for b in claim.bounds)  # fmt: skip
    return TOO_SMALL, "; ".join(seen)


def decide(
    claim: Claim, numbers: Numbers, control: Numbers, rivals: Mapping[str, Numbers] | None = None
) -> tuple[str, str]:
    """The verdict and its reason, from numbers alone."""
    if broken_run := incomplete(claim, numbers, control, rivals or {}):
        return NOT_TESTED, broken_run
    if claim.unseen:
        return NOT_TESTED, f"not reproduced: {claim.unseen}"
    if elsewhere := fails(claim.regime, numbers):
        return NOT_TESTED, f"the paper's regime is not reached: {'; '.join(elsewhere)}"
    broken, broken_in_control = fails(claim.bounds, numbers), fails(claim.bounds, control)
    if not broken_in_control:
        return NOT_TESTED, f"the check cannot fail: the control passes it too ({claim.control})"
    control_words = f"control failed as it must ({claim.control}): {'; '.join(broken_in_control)}"
    if broken:
        return NOT_HELD, f"{'; '.join(broken)}. The {control_words}"
    for rival, measured in (rivals or {}).items():
        if not (broken_by_rival := fails(claim.bounds, measured)):
            return NOT_TESTED, f"a trivial rival passes the check, too: {rival}"
        control_words += f". So did {rival}: {'; '.join(broken_by_rival)}"
    return HELD, f"every bound passed. The {control_words}"


def judge(claim: Claim, fast: bool, draw: Callable[[Claim, Measured, Measured], str | None] | None = None) -> Verdict:
    """Run a claim and its control and say what came out.

    Args:
        claim: to be run.
        fast: fewer seeds and steps.
        draw: makes the picture.

    Returns:
        The verdict, which the fast profile does not give; an experiment that raises is *not tested*, with the exception as
        reason and its traceback kept.
    """
    start = time.perf_counter()
    numbers: Numbers = {}
    try:
        with undisturbed():
            measured = claim.run(fast)
        numbers = measured.numbers
        with undisturbed():
            control = claim.run_control(fast)
        numbers, removed = stable(claim, numbers), stable(claim, control.numbers)
        rivals = {name: stable(claim, seen) for name, seen in measured.rivals.items()}
        verdict, reason = (too_small if fast else decide)(claim, numbers, removed, rivals)
        picture = draw(claim, measured, control) if draw else None
    except Exception as error:  # noqa: BLE001 -- nothing is swallowed: it is the reason of the verdict
        return Verdict(claim.name, NOT_TESTED, numbers, {}, f"raised {type(error).__name__}: {error}",
                       time.perf_counter() - start, fast=fast, trace=traceback.format_exc())  # fmt: skip
    return Verdict(claim.name, verdict, numbers, removed, reason, time.perf_counter() - start, picture, fast,
                   rivals=rivals)  # fmt: skip
