"""Methods that search for the step sizes of all coordinates at once, on the whole data."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import stepsize
from steepest.core.options import SizedDirected
from steepest.direction import BoxScaled, EllipsoidScaled
from steepest.optim.guarded import Guarded
from steepest.optim.registry import Range, method

_SPACE: dict[str, Range] = {"c0": ("log", 1.0, 1e10)}


@method("stepsize", forwards=2, space=_SPACE)
class BoxBacktracking(Guarded):
    """Gradient descent with a step size for every coordinate, found by cutting a box.

    For smooth convex losses, with the whole data in the closure.

    Args:
        params: parameters or groups.
        c0: a step size that no coordinate needs, default 1e10 (authors' experiments).
        lr: multiplies the step, default 1.
        options: see :class:`steepest.optim.guarded.Guarded`.
    """

    def __init__(self, params: Any, c0: float = 1e10, lr: float = 1.0, **options: Unpack[SizedDirected]) -> None:
        step = stepsize.BoxBacktracking(c0=c0)
        super().__init__(params, lr, direction=BoxScaled(), step_size=step, **options)


@method("stepsize", forwards=2, space=_SPACE)
class EllipsoidBacktracking(Guarded):
    """Gradient descent with a step size for every coordinate, found by cutting an ellipsoid.

    For smooth convex losses, with the whole data in the closure.

    Args:
        params: parameters or groups.
        c0: a step size that no coordinate needs, default 1e10 (authors' experiments).
        lr: multiplies the step, default 1.
        options: see :class:`steepest.optim.guarded.Guarded`.
    """

    def __init__(self, params: Any, c0: float = 1e10, lr: float = 1.0, **options: Unpack[SizedDirected]) -> None:
        step = stepsize.EllipsoidBacktracking(c0=c0)
        super().__init__(params, lr, direction=EllipsoidScaled(), step_size=step, **options)
