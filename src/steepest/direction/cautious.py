"""Caution: leave out the coordinates in which the direction disagrees with the gradient."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Literal

import torch
from torch import Tensor

from steepest.core.fields import whole, word
from steepest.core.part import Around, NewState, Scalars
from steepest.core.rule import total


class Cautious(Around):
    r"""Any direction, masked where it points against the gradient and rescaled for what was left out.

    .. math:: \phi = \mathbb{1}[d\,g > 0],\quad
              d \leftarrow \begin{cases} d\,\phi\,\min\bigl(\frac{n}{\sum\phi + 1},\, c\bigr) & g \ne 0\\
                                     d & g = 0 \end{cases}

    with n the number of elements of the tensor at which g is not 0.  A gradient of exactly zero (a row of an embedding
    that the batch has not, a dead unit, an input that is 0) agrees with everything: there d stays as it is, and is not
    counted.  Moments are not masked.  Where d is a moment over a positive denominator, the moment's sign is read, which
    is the same and cheaper.

    Args:
        inner: the direction that is made cautious.
        scale: ``"count"`` for n/(Σφ + 1) (paper), ``"mean"`` for n/Σφ (the authors' C-AdamW since January 2025).
        cap: c, an integer, the largest factor, default 10.

    Source: Liang et al. 2024, arXiv:2411.16085, Algorithm 1.

    Note: the paper takes n for the number of all elements and has no cap; the authors' ``"mean"`` has the cap 1000.  With
    the mask as it stands there a zero counts as disagreement, so that the few rows of an embedding that a batch touches
    take steps n/Σφ times too long, and their momentum is lost; the authors advise d g ≥ 0 for embeddings (their issue 15).
    Without zeros, and with one in ten coordinates agreeing, the two are the same.

    Note: decoupled decay is neither masked nor rescaled, and comes before the move.
    """

    scale: Literal["count", "mean"] = word(default="count")
    cap: int = whole("[1, inf)", default=10)
    cite = ("liang2024cautious",)

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map, with two sums over the tensor."""
        d, new = self.apply_inner(g, x, s, h)
        present, agrees = g != 0, self.inner_heading(g, x, s, h) * g > 0
        kept = total(agrees)
        kept = kept + 1.0 if self.scale == "count" else torch.clamp(kept, min=1.0)
        factor = torch.clamp(total(present) / kept, max=self.cap)
        return torch.where(present, torch.where(agrees, d, 0.0) * factor, d), new
