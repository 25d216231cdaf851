"""From parts to rules: the maps of an assembly put together.

Three rules drive every method:

* ``measure``: what the step size wants to know before the move (nothing is stored);
* ``trial``: the point after the move, without committing any state (line searches);
* ``commit``: the point after the move and all new state.

With a chart the direction works in other coordinates than the move, so ``direct`` stores the direction and the other
rules take it as given.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.part import Direction, Geometry, Part, Point, Scalars, StepSize
from steepest.engine import trace as tracing
from steepest.engine.trace import STOPPED, StandIn
from steepest.engine.trace import total as total  # the one reduction that the maps of parts may use


def fitting(
    part: Part, g: Tensor, d: Tensor, new: dict[str, Tensor], t: SimpleNamespace
) -> tuple[Tensor, dict[str, Tensor]]:
    """What a part's map answers, if d is shaped like g and states like those before the step; others would be broadcast.

    Raises:
        ValueError: a direction or a state of another shape.
    """
    for name, value in {"d": d, **new}.items():
        like = g if name == "d" else getattr(t, name, None)
        want, found = ((v.is_vector,) if isinstance(v, StandIn) else getattr(v, "shape", None) for v in (like, value))
        if want != found or found is None:
            owner = next((p for p in part.walk() if name in p.state), part)
            spec, written = owner.state.get(name), isinstance(g, StandIn)
            shapes = (
                "" if written else f" of shape {tuple(getattr(value, 'shape', ()))} for a gradient of {tuple(g.shape)}"
            )
            why = "a map's direction and state have the gradient's shape, unless State(shape=...) says otherwise"
            if spec is not None and spec.shape is not None and not written:
                why = f"it is declared as {spec.of(tuple(g.shape)[int(tracing.stacked) :])}"
            raise ValueError(f"{owner!r} answers {name!r}{shapes}: {why}")
    return d, new


def alike(v: Tensor, d: Tensor) -> bool:
    """Whether a state has an element for each element of d; while a rule is written down it has."""
    return isinstance(d, StandIn) or v.shape == d.shape


def _every(v: Tensor) -> Tensor:
    """Whether all elements are true; of each tensor in a stack."""
    return v.reshape(len(v), -1).all(1) if tracing.stacked else v.all()


def _over(fine: Tensor, v: Tensor) -> Tensor:
    """What is true of a tensor, or of each in a stack, with the dimensions of v."""
    return fine.view(-1, *[1] * (v.dim() - 1)) if tracing.stacked else fine


def whole_parts(*maps: Part) -> list[Part]:
    """The parts that need whole tensors, to see their shape or to keep state of another; the innermost is the last."""
    return [part for one in maps for part in one.walk()
            if not part.pointwise or any(spec.shape is not None for spec in part.state.values())]  # fmt: skip


def refuse_mixed(*maps: Part) -> None:
    """Say so where some maps want single tensors and others stacks of them.

    Raises:
        ValueError: both parts are named.
    """
    whole = whole_parts(*maps)
    many, single = (next((p for p in whole if p.batched is kind), None) for kind in (True, False))
    if many and single:
        raise ValueError(f"{many!r} works on tensors of equal shape at once, b x shape, and {single!r} on single ones: write "
                         "the latter's map for b x shape and set batched = True, or leave one of them out")  # fmt: skip


@dataclass(frozen=True)
class Maps:
    """The parts of an assembly that are maps or reductions, for one group's structure."""

    direction: Direction
    step_size: StepSize
    geometry: Geometry
    point: Point
    maximize: bool = False
    given: bool = False  # the direction comes in as tensor ``d`` (charts)
    guard: bool = False  # never write NaN or infinity: such an element stays as it is, and is counted
    below: float = torch.inf  # what is not smaller becomes infinite where x is stored

    def whole(self, mode: str) -> list[Part]:
        """The parts whose maps need whole tensors in this mode; the innermost is the last."""
        given = mode != "direct" and self.given
        maps: list[Part] = [] if given else [self.direction]
        maps += [] if mode == "direct" else [self.step_size, self.geometry, self.point]
        return whole_parts(*maps)

    def _directed(self, g: Tensor, t: SimpleNamespace, h: Scalars) -> tuple[Tensor, dict[str, Tensor]]:
        d, new = fitting(self.direction, g, *self.direction(g, t.x, t, h), t)
        return self._rated(d, h), new

    def _rated(self, value: Tensor, h: Scalars) -> Tensor:
        """A direction or a step size, multiplied as the learning rate of parameters with this direction is."""
        for name in self.direction.rates:
            value = value * getattr(h, name)
        return value

    def _d(self, t: SimpleNamespace, h: Scalars) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        g = -t.g if self.maximize else t.g
        d, new = (t.d, {}) if self.given else self._directed(g, t, h)
        if self.point.bends:
            d, more = fitting(self.point, g, *self.point.after_direction(d, t.x, t, h), t)
            new = new | more
        return g, d, new

    def _moved(self, d: Tensor, t: SimpleNamespace, h: Scalars) -> Tensor:
        u = d if self.step_size.weighs_gradient else d * h.eta
        return self.geometry(t.x, u, self.point.pace(self._rated(h.eta, h), h), h)

    def direct(self, t: SimpleNamespace, h: Scalars) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The direction and its new state."""
        d, new = self._directed(-t.g if self.maximize else t.g, t, h)
        if self.guard:
            new = {n: torch.where(torch.isfinite(v), v, getattr(t, n)) for n, v in new.items()}
        return new | {"d": d}, {}

    def measure(self, t: SimpleNamespace, h: Scalars) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Only the sums that the step size needs."""
        g, d, _ = self._d(t, h)
        return {}, self.step_size.measure(g, d, t.x, t, h)

    def trial(self, t: SimpleNamespace, h: Scalars) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Only the point after the move."""
        return {"x": self._moved(self._d(t, h)[1], t, h)}, {}

    def commit(self, t: SimpleNamespace, h: Scalars) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The point after the move, all new state, and the sums that the step size digests afterwards."""
        g, d, new = self._d(t, h)
        own, sums = self.step_size.advance(g, d, t.x, t, h)
        fitting(self.step_size, g, d, own, t)
        outs = {"x": self._moved(d, t, h)} | new | own
        if not self.guard:
            return outs, sums
        doubt = sum(
            ((v - v) for v in (new | own).values() if alike(v, d)), outs["x"] - outs["x"]
        )  # NaN unless all are finite
        fine = doubt == 0
        if self.below < torch.inf:
            fine = torch.logical_and(fine, outs["x"].abs() < self.below)
        if not all(alike(v, d) for v in new.values()):  # one number of state concerns many elements: all or none
            fine = torch.stack([_every(v) for v in (fine, *map(torch.isfinite, new.values()))]).all(0)
            held = {n: torch.where(_over(fine, v), v, getattr(t, n)) for n, v in outs.items()}
            return held, sums | {STOPPED: ~_over(fine, d).expand_as(d)}
        return {n: torch.where(fine, v, getattr(t, n)) for n, v in outs.items()}, sums | {STOPPED: ~fine}
