"""Who shares a step size: all tensors, those of a group, or each tensor for itself.

A step size is worked out from sums over the tensors that share it, and its memory is kept with them: in every group, in
their group, or in the tensor's state.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from steepest.core.buckets import Bucket
from steepest.core.part import StepSize


@dataclass
class Share:
    """One step size in the making; ``memory`` is a copy of what ``home`` holds until the step is done."""

    home: dict[str, Any]
    memory: dict[str, float]
    h: SimpleNamespace
    sums: dict[str, float] = field(default_factory=dict)
    after: dict[str, float] = field(default_factory=dict)
    eta: float | None = None
    fine: bool = True


class Shares:
    """The step sizes of one move."""

    def __init__(self, step_size: StepSize, first: dict[str, Any], h: dict[int, dict[str, float]]) -> None:
        self.step_size, self.first, self.h = step_size, first, h
        self.known: dict[int, Share] = {}

    def __iter__(self) -> Iterator[Share]:
        return iter(self.known.values())

    def of(self, bucket: Bucket | None) -> Share:
        """The one that a bucket follows."""
        home, group = self.first, self.first if bucket is None else bucket.group
        if bucket is not None and self.step_size.per != "all":
            home = group if self.step_size.per == "group" else bucket.fixed.entries[0]
        if id(home) not in self.known:
            memory = {name: home.get(name, start) for name, start in self.step_size.memory.items()}
            self.known[id(home)] = Share(home, memory, SimpleNamespace(**self.h.get(id(home), self.h[id(group)])))
        return self.known[id(home)]

    def spoiled(self) -> bool:
        """Whether any has a sum that is not finite; such tensors are left as they are."""
        for one in self:
            one.fine = all(map(math.isfinite, one.sums.values()))
        return not all(one.fine for one in self)

    def digest(self, trusting: bool, groups: list[dict[str, Any]]) -> None:
        """Learn from the sums of the move, and keep what was learnt."""
        for one in self:
            if one.fine:
                if one.eta is not None and (trusting or all(map(math.isfinite, one.after.values()))):
                    self.step_size.after(one.after, one.memory, one.h)
                for home in groups if self.step_size.per == "all" else [one.home]:
                    home.update(one.memory)
