"""AdamNC: Adam whose decay rates change with time, so that no gradient is ever forgotten."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.fields import real
from steepest.core.part import Direction, NewState, Scalars, State


class AdamNC(Direction):
    r"""Momentum over the root of the mean of all squared gradients.

    .. math:: m \leftarrow \beta_{1t} m + (1-\beta_{1t}) g,\quad v \leftarrow \beta_{2t} v + (1-\beta_{2t}) g^2,\quad
              d = \frac{m}{\sqrt v + \epsilon},\quad \beta_{1t} = \beta_1 \lambda^{t-1},\quad \beta_{2t} = 1 - \frac1t

    so v = Σ g²/t.  With the theory's learning rate of lr/√t and β₁ = 0 it is AdaGrad.

    Args:
        beta1: decay of the first moment at the first step, default 0.9.
        fade: λ, how fast it falls, default 1 - 1e-8 (the value of Adam's own theorem).
        eps: in units of g, default 1e-8 (ours; the paper has none).

    Source: Reddi, Kale & Kumar 2018, arXiv:1904.09237, Algorithm 3 with the rates of Corollary 2.

    Note: the paper's learning rate is α/√t; here it is constant unless a schedule says otherwise, as for ``AMSGrad``.
    """

    beta1: float = real("[0, 1)", default=0.9)
    fade: float = real("(0, 1]", default=1 - 1e-8)
    eps: float = real("[0, inf)", default=1e-8)
    state = {"m": State(), "v": State(signed=False)}
    cite = ("reddi2018convergence",)

    def scalars(self, t: int, h: Scalars) -> dict[str, float]:
        """The weights of the past in m and in v."""
        return {"past": h.beta1 * h.fade ** (t - 1), "old": 1 - 1 / t}

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        m, v = s.m * h.past + g * (1 - h.past), s.v * h.old + g * g * (1 - h.old)
        return m / (torch.sqrt(v) + h.eps), {"m": m, "v": v}
