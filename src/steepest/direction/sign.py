"""Sign methods: every coordinate moves equally far."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.fields import real
from steepest.core.part import Direction, NewState, Scalars, State


class Sign(Direction):
    r"""Sign descent, :math:`d = \mathrm{sign}(g)`: steepest descent in the maximum norm."""

    cite = ("bernstein2018signsgd",)

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map; sign(0) = 0."""
        return torch.sign(g), {}


class Lion(Direction):
    r"""The sign of a mix of momentum and gradient.

    .. math:: d = \mathrm{sign}(\beta_1 m + (1-\beta_1) g),\quad m \leftarrow \beta_2 m + (1-\beta_2) g

    Args:
        beta1: weight of the momentum in the mix, default 0.9 (paper).
        beta2: decay of the momentum, default 0.99 (paper).

    Source: Chen et al. 2023, arXiv:2302.06675, Algorithm 2 (numbering from memory).
    """

    beta1: float = real("[0, 1)", default=0.9)
    beta2: float = real("[0, 1)", default=0.99)
    state = {"m": State()}
    cite = ("chen2023lion",)

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map; m is updated after the direction was read off."""
        c = s.m * h.beta1 + g * (1 - h.beta1)
        return torch.sign(c), {"m": s.m * h.beta2 + g * (1 - h.beta2)}
