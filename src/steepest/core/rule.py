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
from steepest.engine.trace import STOPPED, StandIn
from steepest.engine.trace import total as total  # the one reduction that the maps of parts may use


def fitting(part: Part, g: Tensor, d: Tensor, new: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """What a part's map answers, if its tensors are of the gradient's shape; anything else would be broadcast.

    Raises:
        ValueError: a direction or a state of another shape.
    """
    for name, value in {"d": d, **new}.items():
        want, found = ((v._vector,) if isinstance(v, StandIn) else tuple(getattr(v, "shape", ())) for v in (g, value))
        if want != found:
            owner = next((p for p in part.walk() if name in p.state), part)
            shapes = "" if isinstance(g, StandIn) else f" of shape {found} for a gradient of {want}"
            raise ValueError(
                f"{owner!r} answers {name!r}{shapes}: a map's direction and state have the gradient's shape"
            )
    return d, new


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

    def _directed(self, g: Tensor, t: SimpleNamespace, h: Scalars) -> tuple[Tensor, dict[str, Tensor]]:
        d, new = fitting(self.direction, g, *self.direction(g, t.x, t, h))
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
            d, more = fitting(self.point, g, *self.point.after_direction(d, t.x, t, h))
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
        """Only the sums that the step size asked for."""
        g, d, _ = self._d(t, h)
        return {}, self.step_size.measure(g, d, t.x, t, h)

    def trial(self, t: SimpleNamespace, h: Scalars) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Only the point after the move."""
        return {"x": self._moved(self._d(t, h)[1], t, h)}, {}

    def commit(self, t: SimpleNamespace, h: Scalars) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The point after the move, all new state, and the sums that the step size digests afterwards."""
        g, d, new = self._d(t, h)
        own, sums = self.step_size.advance(g, d, t.x, t, h)
        fitting(self.step_size, g, d, own)
        outs = {"x": self._moved(d, t, h)} | new | own
        if not self.guard:
            return outs, sums
        doubt = sum(((v - v) for v in (new | own).values()), outs["x"] - outs["x"])  # NaN unless all are finite
        fine = doubt == 0
        if self.below < torch.inf:
            fine = torch.logical_and(fine, outs["x"].abs() < self.below)
        return {n: torch.where(fine, v, getattr(t, n)) for n, v in outs.items()}, sums | {STOPPED: ~fine}
