"""Adam's direction for Prodigy, in whose moments each gradient counts by the estimate of the distance at its time."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.fields import real
from steepest.core.part import Direction, NewState, Scalars, State


class Prodigy(Direction):
    r"""The direction of Prodigy, for the step size of the same name, whose estimate is δ.

    .. math:: m \leftarrow \beta_1 m + (1-\beta_1)\, \delta g,\quad v \leftarrow \beta_2 v + (1-\beta_2)\, \delta^2 g^2,\quad
              d = \frac{m}{\sqrt v + \delta\epsilon}

    Args:
        beta1: decay of the first moment, default 0.9 (paper).
        beta2: decay of the second moment, default 0.999 (paper).
        eps: in units of g, default 1e-8 (paper).

    Source: Mishchenko & Defazio 2023, arXiv:2306.06101, Algorithm 4.

    Note: there is no bias correction; the authors' code has one as an option.
    """

    beta1: float = real("[0, 1)", default=0.9)
    beta2: float = real("[0, 1)", default=0.999)
    eps: float = real("[0, inf)", default=1e-8)
    state = {"m": State(), "v": State(signed=False)}
    needs = frozenset({"distance"})
    gives = frozenset({"moments of weighted gradients"})
    cite = ("mishchenko2023prodigy",)

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        felt = g * h.distance
        m = s.m * h.beta1 + felt * (1 - h.beta1)
        v = s.v * h.beta2 + felt * felt * (1 - h.beta2)
        return m / (torch.sqrt(v) + h.distance * h.eps), {"m": m, "v": v}
