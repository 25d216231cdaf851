"""Projections: stay in a convex set by going to its nearest point after every move."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from steepest.core.fields import real
from steepest.core.part import Geometry, Scalars


class Box(Geometry):
    r"""Projection onto a box, :math:`x^+ = \min(\max(x - \eta d, l), u)`.

    Args:
        lower: l, default -1.
        upper: u, default 1.

    Raises:
        ValueError: lower > upper.
    """

    lower: float = real("[-inf, inf]", default=-1.0)
    upper: float = real("[-inf, inf]", default=1.0)

    def check(self, values: Mapping[str, float]) -> None:
        """The box must not be empty."""
        if values["lower"] > values["upper"]:
            raise ValueError(f"Box: lower must not exceed upper, got {values['lower']!r} and {values['upper']!r}")

    def __call__(self, x: Tensor, u: Tensor, eta: Tensor, h: Scalars) -> Tensor:
        """The map."""
        return torch.clamp(x - u, h.lower, h.upper)


class Simplex(Geometry):
    r"""Projection of every row (the last dimension) onto the probability simplex.

    .. math:: x^+ = \max(z - \theta, 0),\ z = x - \eta d,\quad \theta \text{ such that } \textstyle\sum x^+ = 1

    Source: Duchi et al. 2008, "Efficient projections onto the l1-ball", Figure 1.
    """

    pointwise, batched = False, True
    cite = ("duchi2008efficient",)

    def __call__(self, x: Tensor, u: Tensor, eta: Tensor, h: Scalars) -> Tensor:
        """The map, on tensors of equal shape, b x shape; a number is a row of one."""
        z = x - u
        if z.dim() == 1:
            return torch.ones_like(z)
        if z.numel() == 0:
            return z
        top = z.sort(dim=-1, descending=True).values
        count = torch.arange(1, z.shape[-1] + 1, dtype=z.dtype, device=z.device)
        excess = (top.cumsum(-1) - 1) / count
        rho = ((top > excess).sum(-1, keepdim=True) - 1).clamp(min=0)  # a row with NaN has none
        return (z - excess.gather(-1, rho)).clamp(min=0)
