"""Gravity: steps that grow with the gradient up to a point, and shrink beyond it."""

from __future__ import annotations

import math
from types import SimpleNamespace

from torch import Tensor

from steepest.core.fields import real, whole
from steepest.core.norms import norm
from steepest.core.part import Direction, NewState, Scalars, State


class Gravity(Direction):
    r"""Momentum over gradients of which the largest are damped, from a random start.

    .. math:: z = \frac{g}{1 + (g \max|g|)^2},\quad V \leftarrow \hat\beta V + (1-\hat\beta) z,\quad
              \hat\beta = \frac{\beta t + 1}{t + 2},\quad d = V,\quad V_0 \sim N\bigl(0, (\alpha/\eta)^2\bigr)

    with t = 0, 1, …, the largest magnitude over a tensor, and the learning rate η; so the first move has a random part of
    α/2.  β̂ grows from ½ to β.

    Args:
        alpha: α in units of x, default 0.01 (paper).
        momentum: β, default 0.9 (paper).
        seed: of V₀, default 0; with a parameter's place it fixes V₀, the same on every process.

    Source: Bahrami & Pouriyan Zadeh 2021, arXiv:2101.09192, and the authors' code.

    Note: t begins at 0 as in the authors' code.  α/η is taken with the learning rate of the first step.
    """

    alpha: float = real("[0, inf)", default=0.01)
    momentum: float = real("[0, 1)", default=0.9)
    seed: int = whole("[0, inf)", default=0)
    state = {"V": State()}
    pointwise = False
    draws = ("start",)
    cite = ("bahrami2021gravity",)

    def scalars(self, t: int, h: Scalars) -> dict[str, float]:
        """β̂, and the spread of V₀, which is there at the first step only."""
        spread = h.alpha / h.lr if t == 1 and h.lr > 0 else 0.0
        return {"past": (h.momentum * (t - 1) + 1) / (t + 1), "spread": spread}

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        steep = g * norm(g, math.inf)
        V = (s.V + s.start * h.spread) * h.past + g / (1 + steep * steep) * (1 - h.past)
        return V, {"V": V}
