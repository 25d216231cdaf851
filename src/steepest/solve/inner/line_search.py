"""Line searches: how far along a direction, from values of φ(a) = f(x + a d) and its slope."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

from torch import Tensor

T = TypeVar("T")
Slope = Callable[[float], tuple[float, float, T]]


def armijo(phi: Callable[[float], float], value: float, slope: float, step: float = 1.0, c: float = 1e-4,
           shrink: float = 0.5, most: int = 40, rounding: float = 0.0) -> tuple[float, float]:  # fmt: skip
    r"""The first of step, shrink·step, shrink²·step, … with :math:`\phi(a) \le \phi(0) + c\,a\,\phi'(0)`.

    Args:
        phi: a -> f(x + a d).
        value: φ(0).
        slope: φ'(0), negative.
        step: the first trial.
        c: the part of the predicted decrease that is required.
        shrink: factor between trials.
        most: trials.
        rounding: a rise that is let through, relative to φ(0), since f is not known better; in units of one.

    Returns:
        The step and φ there; (0, φ(0)) if none of the trials will do or the slope is not negative.

    Source: Armijo 1966; Nocedal & Wright 2006, Algorithm 3.1.

    Example:
        >>> armijo(lambda a: (a - 1.0) ** 2, 1.0, -2.0, step=4.0)
        (1.0, 0.0)
    """
    if slope < 0:
        for _ in range(most):
            there = phi(step)
            if there <= value + c * step * slope + rounding * abs(value):
                return step, there
            step *= shrink
    return 0.0, value


def strong_wolfe(phi: Slope[T], value: float, slope: float, here: T, step: float = 1.0, c1: float = 1e-4,
                 c2: float = 0.9, most: int = 30, rounding: float = 0.0) -> tuple[float, float, T]:  # fmt: skip
    r"""A step with :math:`\phi(a) \le \phi(0) + c_1 a \phi'(0)` and :math:`|\phi'(a)| \le c_2 |\phi'(0)|`.

    Args:
        phi: a -> φ(a), φ'(a), and something to keep of it, such as the gradient.
        value: φ(0).
        slope: φ'(0), negative.
        here: what phi would give to keep at 0.
        step: the first trial.
        c1: the part of the predicted decrease that is required.
        c2: the part of the slope that may be left.
        most: evaluations.
        rounding: as for :func:`armijo`; below it the slope alone decides.

    Returns:
        The step, φ there and what was kept. If the evaluations do not suffice, the best step that satisfies the first
        condition, or (0, φ(0), here) if there is none.

    Source: Nocedal & Wright 2006, Algorithms 3.5 and 3.6, with the cubic of equation 3.59.
    """
    best, low, slack = (0.0, value, here), (0.0, value, slope), rounding * abs(value)
    high: tuple[float, float, float] | None = None
    for _ in range(most if slope < 0 else 0):
        there, rise, kept = phi(step)
        falls = there <= value + c1 * step * slope + slack
        if falls and there < best[1]:
            best = (step, there, kept)
        if falls and abs(rise) <= -c2 * slope:
            return step, there, kept
        if not falls or there > low[1] + slack or there == low[1] != value:  # also where there is NaN
            high = (step, there, rise)
        else:
            if rise * ((high[0] if high else math.inf) - step) >= 0:
                high = low
            low = (step, there, rise)
        step = 2 * step if high is None else _between(low, high)
        if step == low[0]:
            break
    return best


def _between(low: tuple[float, float, float], high: tuple[float, float, float]) -> float:
    """The minimum of the cubic through two points and slopes, kept a tenth of the way from both ends."""
    (a, fa, ga), (b, fb, gb) = low, high
    middle = (a + b) / 2
    if not (math.isfinite(fb) and math.isfinite(gb)):
        return middle
    d = ga + gb - 3 * (fa - fb) / (a - b)
    square = d * d - ga * gb
    if square < 0:
        return middle
    root = math.copysign(math.sqrt(square), b - a)
    below = gb - ga + 2 * root
    found = b - (b - a) * (gb + root - d) / below if below else middle
    edge = 0.1 * abs(b - a)
    return min(max(found, min(a, b) + edge), max(a, b) - edge)


def first_step(grad: Callable[[Tensor], Tensor], x: Tensor, g: Tensor) -> float:
    r"""A first step size without a scale to go by: :math:`\lVert\delta\rVert / \lVert\nabla f(x+\delta) - \nabla f(x)\rVert`.

    δ is a short move along -g, a thousandth of 1 + ‖x‖, so that this is one over the curvature there. One more gradient; 1
    where the gradient is zero or does not change.

    Source: Barzilai & Borwein 1988, equation 6, at a probe.
    """
    size = float(g.norm())
    if not 0 < size < math.inf:
        return 1.0
    move = g * (-1e-3 * (1 + float(x.norm())) / size)
    change = float((grad(x + move) - g).norm())
    return float(move.norm()) / change if 0 < change < math.inf else 1.0
