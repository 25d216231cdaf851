"""Dual averaging: every step is taken anew from the start, along the sum of all gradients so far."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.fields import real
from steepest.core.part import Direction, NewState, Scalars, State


class DualAveraging(Direction):
    r"""From x₀ along the weighted sum of gradients, with one factor for all coordinates.

    .. math:: s \leftarrow s + w\,(g + \lambda x),\quad x^+ = x_0 - \gamma s

    with the weight w of this gradient and the gain γ, as the step size says.

    Args:
        weight_decay: λ, default 0.

    Source: Nesterov 2009, primal-dual subgradient methods; in the form of Defazio & Mishchenko 2023, arXiv:2301.07733,
    Algorithm 1.

    Note: since x⁺ does not begin at x, decay belongs to the gradient; decoupled decay would be undone by the next step.
    """

    weight_decay: float = real("[0, inf)", default=0.0)
    state = {"x0": State("x", exact=True), "s": State(exact=True)}
    needs = frozenset({"weights of gradients", "gain"})
    reads_x = True
    cite = ("nesterov2009primal",)

    @staticmethod
    def add(g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, Tensor]:
        """The gradient with decay, and the new sum."""
        felt = g + x * h.weight_decay
        return felt, s.s + felt * h.w

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        _, new = self.add(g, x, s, h)
        return x - s.x0 + new * h.gain, {"s": new}


class DualAdaGrad(DualAveraging):
    r"""From x₀ along the weighted sum of gradients, divided by the root of the sum of their squares.

    .. math:: s \leftarrow s + w\,(g + \lambda x),\quad v \leftarrow v + (g + \lambda x)^2,\quad
              x^+ = x_0 - \frac{s}{\sqrt v}

    coordinate by coordinate, with the weight w of this gradient, as the step size says; a coordinate that never had a
    gradient stays.

    Args:
        weight_decay: λ, default 0.
        initial_accumulator_value: v before the first step, default 0; a bound of all squared gradients in theory.

    Source: Duchi, Hazan & Singer 2011, JMLR 12, the primal-dual update with a diagonal matrix; in the form of Defazio &
    Mishchenko 2023, arXiv:2301.07733, Algorithm 2.

    Note: decay as in :class:`DualAveraging`.
    """

    initial_accumulator_value: float = real("[0, inf)", default=0.0)
    state = {**DualAveraging.state, "v": State(signed=False, exact=True)}
    needs = frozenset({"weights of gradients"})
    cite = ("duchi2011adaptive",)

    def scalars(self, t: int, h: Scalars) -> dict[str, float]:
        """What v begins with."""
        return {"start": h.initial_accumulator_value if t == 1 else 0.0}

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        felt, new = self.add(g, x, s, h)
        v = s.v + h.start + felt * felt
        return x - s.x0 + torch.where(v > 0, new / torch.sqrt(v), new * 0.0), {"s": new, "v": v}
