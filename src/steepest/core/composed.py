"""What the core's own files use of the optimizer besides what its parts may: its parts, by their types, and the sides.

A protocol above the seams and below the optimizer, so that no file here imports who imports it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from torch import Tensor

from steepest.core.driver import Owner
from steepest.core.part import Chart, Direction, Oracle, Part, Point, StepSize
from steepest.core.rate import Course
from steepest.core.sides import Families, Side


class Composed(Owner, Protocol):
    """An owner with its parts."""

    direction: Direction
    step_size: StepSize
    point: Point
    oracle: Oracle
    chart: Chart
    #: the directions of groups, with the names and intervals of their numbers
    families: Families
    #: what is done with the parameters that have one direction in common
    sides: list[Side]
    #: names of the numbers that are kept with each parameter
    numbers: list[str]
    #: whether there is a chart at all
    charted: bool
    #: what the learning rate has done so far, where it is looked at
    course: Course | None

    @property
    def torch_group(self) -> Mapping[str, Any] | None:
        """Keys that a torch.optim class of the same method expects in each group."""

    def parts(self) -> Iterator[Part]:
        """All parts, with the parts inside parts."""

    def side(self, p: Tensor) -> Side:
        """What is done with the parameter p."""

    def numbers_of(self, group: dict[str, Any], t: int, kept: Mapping[str, Any], side: Side) -> dict[str, float]:
        """Numbers of a parameter after t steps."""

    def check_group(self, owner: str, group: Mapping[str, Any]) -> None:
        """Say what is wrong with hyper-parameters in a group, new or from a checkpoint."""

    def to_torch(self, entry: dict[str, Any], group: Mapping[str, Any]) -> dict[str, Any]:
        """A parameter's state as a checkpoint has it."""

    def from_torch(self, entry: dict[str, Any]) -> dict[str, Any]:
        """A parameter's state from a checkpoint."""
