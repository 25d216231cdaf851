"""SM3: AdaGrad with one number for each row, column, ... of a tensor in the place of one for each element."""

from __future__ import annotations

from functools import reduce
from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.fields import real
from steepest.core.part import Around, Direction, NewState, Scalars, State


class SM3(Direction):
    r"""The direction of SM3-II.

    .. math:: \nu_i = \min_{r:\, S_r \ni i} \mu_r + g_i^2,\quad \mu_r \leftarrow \max_{j \in S_r} \nu_j,\quad
              d_i = g_i / \sqrt{\nu_i}

    The sets :math:`S_r` are the slices of a tensor along each of its dimensions: rows and columns of a matrix, the single
    elements of a vector, for which it is AdaGrad.  An element whose gradients were all 0 does not move (0/0 = 0, as in the
    paper).  μ of all slices stands in one tensor of state, one dimension after the other: m + n numbers for a matrix.

    Source: Anil, Gupta, Koren & Singer 2019, arXiv:1901.11150, Algorithm SM3-II, with the sets of section 4.

    Note: the sums never decay, so μ is kept in full precision under every codec, as in AdaGrad.  The paper's experiments
    average d with β₁ = 0.9, which its algorithms leave out: ``direction.Averaged(direction.SM3())``.
    """

    state = {"mu": State(signed=False, exact=True, shape=lambda s: (sum(s) if s else 1,))}
    cite = ("anil2019sm3",)

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        if g.numel() == 0:
            return g, {}
        shape = g.shape or (1,)
        along = [mu.view([-1 if k == r else 1 for k in range(len(shape))]) for r, mu in enumerate(s.mu.split([*shape]))]
        nu = reduce(torch.minimum, along) + (g * g).view(shape)
        most = [nu.movedim(r, 0).flatten(1).amax(1) if nu.dim() > 1 else nu for r in range(nu.dim())]
        nu = nu.view(g.shape)
        return torch.where(nu > 0, g / torch.sqrt(nu), g * 0.0), {"mu": torch.cat(most)}


class Averaged(Around):
    r"""An average over the steps of what another direction answers: :math:`m \leftarrow \beta m + (1-\beta)\,d,\; d' = m`.

    Args:
        inner: the direction.
        momentum: β, default 0.9.

    Source: Anil, Gupta, Koren & Singer 2019, arXiv:1901.11150, section 5 and the authors' code.
    """

    momentum: float = real("[0, 1)", default=0.9)
    state = {"m": State()}
    cite = ("anil2019sm3",)

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        d, new = self.apply_inner(g, x, s, h)
        m = s.m * h.momentum + d * (1 - h.momentum)
        return m, {"m": m, **new}
