"""Caution: leave out the coordinates in which the direction disagrees with the gradient."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.part import Around, NewState, Scalars
from steepest.core.rule import total


class Cautious(Around):
    r"""Any direction, masked where it points against the gradient and rescaled for what was left out.

    .. math:: \phi = \mathbb{1}[d\,g > 0],\quad d \leftarrow d\,\phi\,\frac{n}{\sum\phi + 1}

    with n the number of elements of the tensor.  Moments are not masked.  Where d is a moment over a positive
    denominator, the moment's sign is asked, which is the same and cheaper.

    Args:
        inner: the direction that is made cautious.
        scale: ``"count"`` for n/(Σφ + 1) (paper), ``"mean"`` for 1/max(mean φ, 10⁻³) (the authors' C-AdamW since
            January 2025).

    Source: Liang et al. 2024, arXiv:2411.16085, Algorithm 1.

    Note: decoupled decay is neither masked nor rescaled, and comes before the move.
    """

    structure = {"scale": ("count", ("count", "mean"))}
    cite = ("liang2024cautious",)
    scale: str

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map, with one sum over the tensor."""
        d, new = self.ask_inner(g, x, s, h)
        agrees = self.ask_heading(g, x, s, h) * g > 0
        kept = total(agrees)
        if self.scale == "count":
            factor = h.numel / (kept + 1.0)
        else:
            factor = 1.0 / torch.clamp(kept / h.numel, min=1e-3)
        return torch.where(agrees, d, 0.0) * factor, new
