"""Adadelta: a gradient over the root mean square of gradients, times the root mean square of past moves."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.fields import real
from steepest.core.part import Direction, NewState, Scalars, State


class Adadelta(Direction):
    r"""The direction of Adadelta, in units of x.

    .. math:: v \leftarrow \rho v + (1-\rho)\, g^2,\quad d = \sqrt{\frac{u + \epsilon}{v + \epsilon}}\; g,\quad
              u \leftarrow \rho u + (1-\rho)\, d^2

    Args:
        rho: ρ, decay of both averages, default 0.9 (torch; the paper has 0.95).
        eps: ε, in units of g² and of x², default 1e-6 (paper); the first steps are of length √ε.

    Source: Zeiler 2012, arXiv:1212.5701, Algorithm 1.

    Note: the paper has no learning rate: its η is 1.  The average is of d, not of the move ηd, as in torch.
    """

    rho: float = real("[0, 1)", default=0.9)
    eps: float = real("(0, inf)", default=1e-6)
    state = {"v": State(signed=False), "u": State(signed=False)}
    cite = ("zeiler2012adadelta",)
    torch_names = {"v": "square_avg", "u": "acc_delta"}

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        v = s.v * h.rho + g * g * (1 - h.rho)
        d = torch.sqrt(s.u + h.eps) / torch.sqrt(v + h.eps) * g
        return d, {"v": v, "u": s.u * h.rho + d * d * (1 - h.rho)}
