"""Grams: as far as the direction inside goes, but the way the gradient of this step points."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.part import Around, NewState, Scalars


class Grams(Around):
    r"""Any direction's magnitudes with the signs of the gradient.

    .. math:: d \leftarrow \operatorname{sign}(g)\,|d|

    Moments of the direction inside are as without it.  Where the gradient is 0, nothing moves.

    Args:
        inner: the direction whose magnitudes are used.

    Source: Cao, Li & Song 2024, arXiv:2412.17107, Algorithm 1 (with Adam inside).

    Note: rows of an embedding that a batch does not touch stand still, though Adam's momentum would move them.
    """

    cite = ("cao2024grams",)

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        d, new = self.apply_inner(g, x, s, h)
        return torch.sign(g) * torch.abs(d), new
