"""AdaMax: Adam that divides by a fading maximum of gradients in the place of the root of their mean square."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.fields import real
from steepest.core.part import Direction, NewState, Scalars, State


class AdaMax(Direction):
    r"""The direction of AdaMax, Adam's with the maximum norm; where u is 0, so is d.

    .. math:: m \leftarrow \beta_1 m + (1-\beta_1) g,\quad u \leftarrow \max(\beta_2 u, |g| + \epsilon),\quad
              d = \frac{m}{(1-\beta_1^t)\, u}

    Args:
        beta1: decay of the first moment, default 0.9 (paper).
        beta2: decay of the maximum, default 0.999 (paper).
        eps: in units of g, default 1e-8 (torch).

    Source: Kingma & Ba 2015, arXiv:1412.6980, section 7.1 and Algorithm 2.

    Note: the paper has no eps and divides 0 by 0 where no gradient was yet; pass ``eps=0`` for its steps elsewhere.
    """

    beta1: float = real("[0, 1)", default=0.9)
    beta2: float = real("[0, 1)", default=0.999)
    eps: float = real("[0, inf)", default=1e-8)
    state = {"m": State(), "u": State(signed=False)}
    cite = ("kingma2015adam",)
    torch_names = {"m": "exp_avg", "u": "exp_inf"}

    def scalars(self, t: int, h: Scalars) -> dict[str, float]:
        """The bias correction c1 = 1/(1 - β₁ᵗ)."""
        return {"c1": 1 / (1 - h.beta1**t)}

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        m = s.m * h.beta1 + g * (1 - h.beta1)
        u = torch.maximum(s.u * h.beta2, torch.abs(g) + h.eps)
        return torch.where(u > 0, m * h.c1 / u, 0.0), {"m": m, "u": u}
