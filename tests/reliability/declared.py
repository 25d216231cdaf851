"""Wrong values for everything that can be given to a constructor, made from what the parts declare.

A part says the interval of each number, the words of each choice; a named method's signature names which of them it
takes. So whoever writes a part or a method gets its row in the table of bad input for nothing.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

import torch

import steepest
from steepest import channel, chart, direction, geometry, oracle, point, stepsize

SEAMS = {"direction": direction, "geometry": geometry, "point": point, "oracle": oracle, "chart": chart,
         "channel": channel, "step_size": stepsize}  # fmt: skip
OPTIONS: dict[str, Any] = {
    "codec": ("float32", "bfloat16", "int8"),
    "lift": ("auto", "native", "inductor", "eager"),
    "nonfinite": ("guard", "skip", "raise", "propagate"),
    "maximize": None,
}
PAIR = "[0, 1)"  # of betas
ELSEWHERE = {
    ("LionK", "scale")
}  # refused for the K that is the default, whatever it is (tests/papers/chen2024_lionk.py)


@dataclass(frozen=True)
class Wrong:
    """One thing that must be refused.

    Args:
        name: of the parameter.
        value: what is given.
        says: words that the refusal must have: any one of each tuple.
    """

    name: str
    value: Any
    says: tuple[tuple[str, ...], ...]


def numbers(name: str, interval: str) -> Iterator[Wrong]:
    """Wrong types, NaN, and the nearest numbers outside an interval."""
    low, high = (float(end) for end in interval[1:-1].split(","))
    values: list[Any] = ["0.1", None, [0.1], True, 1j, torch.ones(2), math.nan, torch.tensor(math.nan)]
    if interval[0] == "(" or low > -math.inf:
        values.append(low if interval[0] == "(" else math.nextafter(low, -math.inf))
    if interval[-1] == ")" or high < math.inf:
        values.append(high if interval[-1] == ")" else math.nextafter(high, math.inf))
    for value in values:
        yield Wrong(name, value, ((name,), (repr(value),), (interval,)))


def integers(name: str, interval: str) -> Iterator[Wrong]:
    """Wrong types and the nearest integer below."""
    low = int(interval[1 : interval.index(",")])
    for value in ("3", None, 1.5, math.nan, True, [2], low - 1, -(10**9)):
        yield Wrong(name, value, ((name,), (repr(value),), (interval,)))


def words(name: str, allowed: tuple[str, ...]) -> Iterator[Wrong]:
    """A misspelt word and things that are no words; the answer lists what is allowed."""
    every = tuple((repr(word),) for word in allowed)
    near = allowed[0] + allowed[0][-1]
    yield Wrong(name, near, ((name,), (repr(near),), *every, (f"did you mean {allowed[0]!r}",)))
    for value in ("", None, 3, True, [allowed[0]]):
        yield Wrong(name, value, ((name,), (repr(value),), *every))


def bools(name: str) -> Iterator[Wrong]:
    """What is nearly a bool."""
    for value in (1, 0, None, "True", 1.0, math.nan):
        yield Wrong(name, value, ((name,), (repr(value),), ("bool", "True or False")))


def pairs(name: str, intervals: list[str]) -> Iterator[Wrong]:
    """Too few, too many, or something wrong among them."""
    count, fine = len(intervals), [0.9] * len(intervals)
    long = tuple(0.9 for _ in range(count + 1))
    for value in (0.9, (0.9,), long, None, "ab", {"beta1": 0.9}, math.nan):
        yield Wrong(name, value, ((name,), (repr(value),), ("pair", f"{count} betas", "three numbers")))
    for i, interval in enumerate(intervals):
        for wrong in numbers("beta", interval):
            given = (*fine[:i], wrong.value, *fine[i + 1 :])
            yield Wrong(name, given, ((f"beta{i + 1}", "betas"), (repr(wrong.value),), (interval,)))


def wrong_values(name: str, allowed: Any, kind: str) -> Iterator[Wrong]:
    """Everything to be tried for one parameter; ``kind`` is hyper, hyper or None, structure or pair."""
    if kind == "pair":
        return pairs(name, allowed)
    if kind == "hyper or None":
        return (wrong for wrong in numbers(name, allowed) if wrong.value is not None)
    if kind == "hyper":
        return numbers(name, allowed)
    if isinstance(allowed, tuple):
        return words(name, allowed)
    return bools(name) if allowed is None else integers(name, allowed)


def misspelt(name: str, known: set[str]) -> Iterator[str]:
    """Two ways to mistype a name."""
    for typo in (name + name[-1], name[: len(name) // 2] + name[len(name) // 2 + 1 :] if len(name) > 4 else ""):
        if typo and typo not in known:
            yield typo


Declared = Mapping[str, tuple[Any, str]]  # name -> what is allowed, and its kind


def declared(part: Any) -> dict[str, tuple[Any, str]]:
    """What one part, or a class of parts, declares."""
    found: dict[str, tuple[Any, str]] = {name: (interval, "hyper") for name, (_, interval) in part.hyper.items()}
    return found | {name: (allowed, "structure") for name, (_, allowed) in part.structure.items()}


@dataclass(frozen=True)
class Maker:
    """Something that is constructed: ``make(**given)``, and what may be given."""

    name: str
    make: Callable[..., Any]
    takes: Declared


def params() -> list[torch.nn.Parameter]:
    """Three numbers to be optimized."""
    return [torch.nn.Parameter(torch.ones(3))]


def _part(kind: type) -> Callable[..., Any]:
    def make(**given: Any) -> Any:
        if issubclass(kind, direction.Around):
            return kind(direction.Adam(), **given)
        if kind is direction.Choose:
            return kind(direction.Sign(), direction.Adam(), **given)
        return kind(direction.Sign(), **given) if kind is chart.Split else kind(**given)

    return make


def parts() -> Iterator[Maker]:
    """Every part class that takes anything."""
    for seam, module in SEAMS.items():
        for name in module.__all__:
            kind = getattr(module, name)
            if takes := declared(kind):
                yield Maker(f"{seam}.{name}", _part(kind), takes)


def methods() -> Iterator[Maker]:
    """Every named method, with the declarations of the parts that its arguments go to, and the general options."""
    anywhere = {name: what for maker in parts() for name, what in maker.takes.items()}
    for name, method in steepest.methods.items():
        own: dict[str, tuple[Any, str]] = {}
        for part in method.make(params()).parts():
            own |= declared(part)
        takes: dict[str, tuple[Any, str]] = {"lr": ("[0, inf)", "hyper")}
        for argument, given in list(inspect.signature(method.make).parameters.items())[1:]:
            if argument == "betas":
                takes[argument] = [own.get(f"beta{i}", (PAIR,))[0] for i in range(1, len(given.default) + 1)], "pair"
            elif argument in ("amsgrad", "centered"):
                takes[argument] = (None, "structure")
            elif argument not in (
                "options",
                "lr",
                "pairs",
                "estimate",
                "memory",
            ):  # tensors and parts have tests of their own
                hint = get_type_hints(inspect.unwrap(method.make.__init__)).get(argument)
                chosen = (get_args(hint), "structure") if get_origin(hint) is Literal else None
                takes[argument] = own.get(argument) or chosen or anywhere[argument]
                if (name, argument) in ELSEWHERE:
                    del takes[argument]
                elif given.default is None and takes[argument][1] == "hyper":
                    takes[argument] = takes[argument][0], "hyper or None"
        yield Maker(name, lambda make=method.make, **given: make(params(), **given),
                    takes | {option: (allowed, "structure") for option, allowed in OPTIONS.items()})  # fmt: skip
