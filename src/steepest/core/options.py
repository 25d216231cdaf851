"""What every method takes besides its own numbers, as types: for ``**options: Unpack[...]`` in the constructors of methods.

A method that chooses a direction, say, takes all other seams from its caller: ``Directed``.  The classes below are named by
what the method chooses itself; what it chooses is not among its options, and a checker says so as the run would.
"""

from __future__ import annotations

from typing import Literal, TypedDict, get_args

from steepest.core.part import Channel, Chart, Direction, Geometry, Oracle, Point, StepSize

Codec = Literal["float32", "bfloat16", "int8"]
Lift = Literal["auto", "native", "inductor", "eager"]
Nonfinite = Literal["guard", "skip", "raise", "propagate"]
NONFINITE: tuple[Nonfinite, ...] = get_args(Nonfinite)


class Engine(TypedDict, total=False):
    """How a method is run: see :class:`steepest.Optimizer`."""

    maximize: bool
    codec: Codec
    lift: Lift
    nonfinite: Nonfinite


class Torch(TypedDict, total=False):
    """What torch.optim's methods of the same name take; let be where it changes nothing."""

    foreach: bool | None
    fused: bool | None
    capturable: bool
    differentiable: bool


class AnyDirection(TypedDict, total=False):
    """Which way."""

    direction: Direction | None


class AnyStepSize(TypedDict, total=False):
    """How far."""

    step_size: StepSize | None


class AnyGeometry(TypedDict, total=False):
    """How x moves."""

    geometry: Geometry | None


class AnyPoint(TypedDict, total=False):
    """Where the gradient is evaluated."""

    point: Point | None


class AnyOracle(TypedDict, total=False):
    """How it is evaluated."""

    oracle: Oracle | None


class AnyChart(TypedDict, total=False):
    """In what coordinates the direction works."""

    chart: Chart | None


class AnyChannel(TypedDict, total=False):
    """Who else gets the gradient."""

    channel: Channel | None


class Common(Engine, AnyOracle, AnyChart, AnyChannel, total=False):
    """For methods that choose direction, step size, geometry and point."""


class Directed(Common, AnyStepSize, AnyGeometry, AnyPoint, total=False):
    """For methods that choose a direction."""


class DirectedTorch(Directed, Torch, total=False):
    """For methods that choose a direction and that torch has, too."""


class Decayed(Common, AnyStepSize, AnyPoint, total=False):
    """For methods that choose a direction and a geometry."""


class DecayedTorch(Decayed, Torch, total=False):
    """For methods that choose a direction and a geometry and that torch has, too."""


class Moved(Common, AnyDirection, AnyStepSize, AnyPoint, total=False):
    """For methods that choose a geometry."""


class Pointed(Common, AnyDirection, AnyStepSize, AnyGeometry, total=False):
    """For methods that choose a point."""


class PointedDirected(Common, AnyStepSize, AnyGeometry, total=False):
    """For methods that choose a point and a direction."""


class PointedDecayed(Common, AnyStepSize, total=False):
    """For methods that choose a point, a direction and a geometry."""


class Sized(Common, AnyDirection, AnyGeometry, AnyPoint, total=False):
    """For methods that choose a step size."""


class SizedPointed(Common, AnyDirection, AnyGeometry, total=False):
    """For methods that choose a step size and a point."""


class SizedDirected(Common, AnyGeometry, AnyPoint, total=False):
    """For methods that choose a step size and a direction."""


class SizedDecayed(Common, AnyPoint, total=False):
    """For methods that choose a step size, a direction and a geometry."""


class Estimated(Engine, AnyDirection, AnyStepSize, AnyPoint, AnyChart, AnyChannel, total=False):
    """For methods that choose an oracle and a geometry."""


class Probed(Engine, AnyStepSize, AnyPoint, AnyChart, AnyChannel, total=False):
    """For methods that choose an oracle, a direction and a geometry."""


class Estimating(Engine, AnyGeometry, AnyPoint, AnyChart, AnyChannel, total=False):
    """For methods that choose an oracle, a direction and a step size."""


class Charted(Engine, AnyStepSize, AnyPoint, AnyOracle, AnyChannel, total=False):
    """For methods that choose a chart, a direction and a geometry."""


class Sent(Engine, AnyDirection, AnyStepSize, AnyGeometry, AnyPoint, AnyOracle, AnyChart, total=False):
    """For methods that choose a channel."""


class Free(Common, AnyDirection, AnyStepSize, AnyGeometry, AnyPoint, total=False):
    """For methods that leave all seams to their caller."""
