"""A step size for every coordinate: the gradient, stretched by sizes that the step size part looks after."""

from __future__ import annotations

from types import SimpleNamespace

from torch import Tensor

from steepest.core.part import Direction, NewState, Scalars


class BoxScaled(Direction):
    """d = b g: the diagonal of the box {0 ≤ p ≤ b}, whose sides b :class:`steepest.stepsize.BoxBacktracking` keeps."""

    needs = frozenset({"box"})
    cite = ("kunstner2023multidimensional",)

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        return s.b * g, {}


class EllipsoidScaled(Direction):
    """d = (b g)² g: of all step sizes p in the ellipsoid {Σ (p/b)² ≤ 1} those with the largest Σ p g², up to a factor.

    The semi-axes b :class:`steepest.stepsize.EllipsoidBacktracking` keeps.
    """

    needs = frozenset({"ellipsoid"})
    cite = ("kunstner2023multidimensional",)

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        r = s.b * g
        return r * r * g, {}
