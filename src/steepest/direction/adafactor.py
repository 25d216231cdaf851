"""Adafactor: divide by second moments of which only means over rows and columns are kept."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.fields import real
from steepest.core.part import Direction, NewState, Scalars, State


def mean(t: Tensor, dim: int) -> Tensor:
    """The mean over one dimension, which stays; 0 over none."""
    return t.sum(dim, keepdim=True) / max(t.shape[dim], 1)


def rms(t: Tensor) -> Tensor:
    """The root of the mean of squares."""
    return torch.linalg.vector_norm(t) / max(t.numel(), 1) ** 0.5


class Adafactor(Direction):
    r"""The direction of Adafactor: factored second moments, clipped updates, steps relative to the weights.

    .. math:: R &\leftarrow \beta_t R + (1-\beta_t)\,\operatorname{mean}_{col}(g^2 + \epsilon_1),\quad
              C \leftarrow \beta_t C + (1-\beta_t)\,\operatorname{mean}_{row}(g^2 + \epsilon_1),\quad
              V = \frac{R\,C}{\operatorname{mean}(R)} \\
              u &= g / \sqrt V,\quad \hat u = \frac{u}{\max(1, \operatorname{RMS}(u) / c)},\quad
              d = \max(\epsilon_2, \operatorname{RMS}(x))\,\min\bigl(1, \tfrac{1}{\mathrm{lr}\sqrt t}\bigr)\,\hat u

    with :math:`\beta_t = 1 - t^{-\kappa}`, so that x moves by :math:`\max(\epsilon_2, \mathrm{RMS}(x))\,\rho_t\,\hat u` with
    :math:`\rho_t = \min(\mathrm{lr}, 1/\sqrt t)`.  R has a number for each row of a matrix, C one for each column; vectors and
    numbers keep all of V.

    Args:
        eps1: in units of g², default 1e-30 (paper); above 0.
        eps2: the least scale of the weights, in units of x, default 1e-3 (paper).
        clip: c, the largest root mean square of u, default 1 (paper).
        decay: κ, default 0.8 (paper).

    Source: Shazeer & Stern 2018, arXiv:1804.04235, Algorithm 4 (matrices) and 5 (vectors), with the numbers of section 9.
    The paper keeps sums over rows and columns; with means V is the same.

    Note: the paper is about matrices; of a tensor of more dimensions the last two are factored here, as in torch, and the
    two longest in tensor2tensor.  torch.optim.Adafactor leaves out ε₁ and keeps √V above the spacing of floats at 1.
    """

    eps1: float = real("(0, inf)", default=1e-30)
    eps2: float = real("[0, inf)", default=1e-3)
    clip: float = real("(0, inf)", default=1.0)
    decay: float = real("[0, inf)", default=0.8)
    state = {
        "R": State(signed=False, shape=lambda s: (*s[:-1], 1) if len(s) > 1 else None),
        "C": State(signed=False, shape=lambda s: (*s[:-2], 1, s[-1]) if len(s) > 1 else None),
        "V": State(signed=False, shape=lambda s: s if len(s) < 2 else None),
    }
    reads_x = True
    cite = ("shazeer2018adafactor",)

    def scalars(self, t: int, h: Scalars) -> dict[str, float]:
        """The weight of this gradient's squares, and what of lr is left when steps fall as 1/√t."""
        return {"fresh": t**-h.decay, "falling": min(1.0, 1 / (h.lr * t**0.5)) if h.lr else 1.0}

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        squares, past = g * g + h.eps1, 1 - h.fresh
        new: NewState
        if g.dim() < 2:
            V = s.V * past + squares * h.fresh
            new = {"V": V}
        else:
            R = s.R * past + mean(squares, -1) * h.fresh
            C = s.C * past + mean(squares, -2) * h.fresh
            V, new = R / mean(R, -2) * C, {"R": R, "C": C}
        u = g / torch.sqrt(V)
        u = u / (rms(u) / h.clip).clamp(min=1)
        return u * (rms(x).clamp(min=h.eps2) * h.falling), new
