"""Sides: the direction of a parameter, with the state and the numbers that belong to it.

Most optimizers have one side: all parameters take the same direction.  Where a direction chooses, each parameter is on one
side, and has that side's state and no other.  Sides are made and checked when the optimizer is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import Any

from torch import Tensor

from steepest.core.fields import described
from steepest.core.given import pack
from steepest.core.part import Direction, Part
from steepest.engine.state import State
from steepest.engine.trace import Rule

#: names of the driver's own in groups
OWN = ("lr", "betas", "maximize", "t", "params")
GIVEN = frozenset({"closure", "rows", "loss", "grad"})


@dataclass(frozen=True, eq=False)
class Side:
    """What is done with the parameters that have one direction in common.

    Args:
        place: its number.
        direction: the direction, which does not choose any more.
        shared: the parts of the other seams, which all sides have.
    """

    place: int
    direction: Direction
    shared: list[Part]

    def __getstate__(self) -> dict[str, Any]:
        """What it was made of: the rest is worked out again, and a state's shape may be a lambda."""
        return {"place": self.place, "direction": self.direction, "shared": self.shared}

    @cached_property
    def parts(self) -> list[Part]:
        """All parts."""
        return [*self.direction.walk(), *self.shared]

    @cached_property
    def inside(self) -> list[str]:
        """The names of the direction's states, which live in a chart's coordinates, as in ``opt.state[p]``."""
        return [name for part in self.direction.walk() for name in part.state]

    @cached_property
    def specs(self) -> Mapping[str, State]:
        """The states of all parts, as in ``opt.state[p]``."""
        return {name: spec for part in self.parts for name, spec in part.state.items()}

    @cached_property
    def prefixed(self) -> Mapping[str, str]:
        """Names as groups and state have them, by those that the maps use, where the two differ."""
        return {own: name for part in self.direction.walk() for own, name in part.prefixed.items() if own != name}

    @cached_property
    def counting(self) -> list[Part]:
        """Parts that keep numbers with each parameter."""
        return [part for part in self.parts if part.numbers]

    @cached_property
    def numbers(self) -> list[str]:
        """The names of these numbers."""
        return [name for part in self.counting for name in part.numbers]

    @cached_property
    def draws(self) -> dict[str, int]:
        """The names of the random tensors that maps want, with the seeds of their parts."""
        return {name: part.seed for part in self.parts for name in part.draws}

    @cached_property
    def with_scalars(self) -> list[Part]:
        """Parts that work out numbers once a step."""
        return [part for part in self.parts if type(part).scalars is not Part.scalars]

    def named(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values by the names that the maps use, those of a group or of a parameter's state."""
        return {**values, **{own: values[name] for own, name in self.prefixed.items() if name in values}}

    def rule(self, rule: Rule) -> Rule:
        """A rule of tensors by the names that the maps use, as one of tensors by those in ``opt.state[p]``."""
        names = [*self.prefixed.items()]
        if not names:
            return rule

        def under(t: SimpleNamespace, h: SimpleNamespace) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
            for own, name in names:  # t is made for this call, and a compiler follows no new one
                if hasattr(t, name):
                    setattr(t, own, getattr(t, name))
            outs, sums = rule(t, h)
            return {self.prefixed.get(name, name): value for name, value in outs.items()}, sums

        return under


class Family:
    """A direction that groups have, its sides, and the numbers that stand in these groups.

    Args:
        direction: the direction.
        shared: the parts of the other seams.
        first: the number of its first side.
    """

    def __init__(self, direction: Direction, shared: list[Part], first: int) -> None:
        self.direction, self.parts = direction, [*direction.walk(), *shared]
        self.sides = [Side(first + k, one, shared) for k, one in enumerate(direction.sides())]
        self.intervals = {"lr": "[0, inf)"} | {n: i for part in self.parts for n, (_, i) in part.hyper.items()}


class Families:
    """The directions of an optimizer's groups: its own, and those that groups brought.

    Args:
        direction: the optimizer's own.
        shared: the parts of the other seams.
        others: those of groups, by the names that stand in these groups.
    """

    def __init__(self, direction: Direction, shared: list[Part], others: Mapping[str, Direction]) -> None:
        self.others, self.sides = others, list[Side]()
        self.known: dict[str | None, Family] = {}
        for name, one in [(None, direction), *others.items()]:
            self.known[name] = Family(one, shared, len(self.sides))
            self.sides += self.known[name].sides

    def of(self, group: Mapping[str, Any]) -> Family:
        """The one of a group.

        Raises:
            TypeError: what stands there is no name that ``named`` gave.
        """
        name = group.get("direction")
        if name is not None and name not in self.others:
            raise TypeError(f"the direction of a parameter group is given when the group is added, got {name!r}")
        return self.known[name]

    def named(self, owner: str, group: dict[str, Any]) -> tuple[dict[str, Any], Mapping[str, Direction]]:
        """A group with the name of the direction that it brings, if it brings one, and all directions of groups.

        Raises:
            TypeError: something else than a direction.
        """
        own = self.known[None].direction
        given = group.get("direction", own)
        if given is own:
            return {n: v for n, v in group.items() if n != "direction"} if "direction" in group else group, self.others
        if isinstance(given, str) and given in self.others:
            return group, self.others
        if not isinstance(given, Direction):
            raise TypeError(f"{owner}: direction must be a Direction part, got {described(given)}")
        name = next((n for n, known in self.others.items() if known is given), None)
        name = name or f"{len(self.others) + 1}: {given.outline()}"
        others = self.others if name in self.others else {**self.others, name: given}
        return {**group, "direction": name}, others

    def defaults(self, group: Mapping[str, Any], usual: dict[str, Any]) -> dict[str, Any]:
        """What stands in a group unless it says otherwise: ``usual``, with the numbers of its own direction."""
        family, base = self.of(group), self.known[None]
        if family is base:
            return usual
        lost, mine, values = (
            pack({name: value for part in parts for name, value in part.values.items()})
            for parts in (base.direction.walk(), family.direction.walk(), family.parts)
        )
        return {n: v for n, v in usual.items() if n not in lost} | {n: values[n] for n in mine}

    def plain(self, group: Mapping[str, Any], usual: list[str]) -> list[str]:
        """The same for the names of numbers that are not in ``betas``."""
        if "direction" not in group:
            return usual
        return [n for n in self.defaults(group, dict.fromkeys(usual)) if n != "betas"]


def check_sides(sides: list[Side], shared: list[Part]) -> None:
    """Say what does not go together.

    Raises:
        ValueError: two parts own one name, or one needs what no other gives.
    """
    for side in sides:
        _check_owners(side)
        _check_needs(side)
        for part in side.parts if len(sides) > 1 else ():
            if isinstance(part, Direction) and len(part.sides()) > 1:
                raise ValueError(f"{part!r} cannot stand inside another direction that does not go around one: make it "
                                 "the direction of the optimizer")  # fmt: skip
            lost = sorted(part.needs & {*side.prefixed})
            if part in shared and lost:
                raise ValueError(f"{part!r} needs {', '.join(lost)}, which more than one direction has, {side.direction!r} "
                                 "among them: choose another step size, or one direction for all parameters")  # fmt: skip


def _check_owners(side: Side) -> None:
    owners: dict[str, Part] = {}
    for part in side.parts:
        for name in [*(part.prefixed or (*part.hyper, *part.state)), *getattr(part, "memory", ()), *part.draws]:
            if name in owners or name in OWN:
                raise ValueError(f"{owners.get(name, 'the optimizer')!r} and {part!r} both own {name!r}: leave one "
                                 "of them out")  # fmt: skip
            owners[name] = part


def _check_needs(side: Side) -> None:
    given = set(GIVEN)
    for part in side.parts:
        given |= part.gives | {*(part.prefixed or (*part.hyper, *part.state))}
    for part in side.parts:
        if part.needs - given:
            raise ValueError(f"{part!r} needs {', '.join(sorted(part.needs - given))}, which neither "
                             f"{side.direction!r} nor any other part of this method gives: choose another "
                             "direction or step size")  # fmt: skip


__all__ = ["GIVEN", "OWN", "Family", "Side", "check_sides"]
