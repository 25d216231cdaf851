"""AdaMod: Adam whose step size, coordinate by coordinate, is no larger than an average of those before it."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.fields import real
from steepest.core.part import Direction, NewState, Scalars, State


class AdaMod(Direction):
    r"""The direction of AdaMod, Adam's with a bound of momentum kind on the step size.

    .. math:: \eta = \frac{\alpha_t}{\sqrt{v / (1-\beta_2^t)} + \epsilon},\quad
              s \leftarrow \beta_3 s + (1-\beta_3)\,\eta,\quad
              d = \frac{\min(\eta, s)}{\alpha_t}\,\frac{m}{1-\beta_1^t}

    with m and v as in Adam and the learning rate α.  s begins at 0 and is not corrected, which makes a warm-up.

    Args:
        beta1: decay of the first moment, default 0.9 (paper).
        beta2: decay of the second moment, default 0.999 (paper).
        beta3: decay of the step sizes' average, default 0.999 (paper).
        eps: in units of g, default 1e-8 (paper).

    Source: Ding et al. 2019, arXiv:1910.12249, Algorithm 1.

    Note: the authors' code averages α √(1 - β₂ᵗ)/(1 - β₁ᵗ)/(√v + ε) and multiplies it by m without correction.
    """

    beta1: float = real("[0, 1)", default=0.9)
    beta2: float = real("[0, 1)", default=0.999)
    beta3: float = real("[0, 1)", default=0.999)
    eps: float = real("[0, inf)", default=1e-8)
    state = {"m": State(), "v": State(signed=False), "bound": State(signed=False)}
    cite = ("ding2019adaptive",)

    def scalars(self, t: int, h: Scalars) -> dict[str, float]:
        """Bias corrections, and the inverse of the learning rate, 0 where nothing moves."""
        return {"c1": 1 / (1 - h.beta1**t), "c2": (1 - h.beta2**t) ** -0.5, "unscale": 1 / h.lr if h.lr > 0 else 0.0}

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        m, v = s.m * h.beta1 + g * (1 - h.beta1), s.v * h.beta2 + g * g * (1 - h.beta2)
        eta = h.lr / (torch.sqrt(v) * h.c2 + h.eps)
        bound = s.bound * h.beta3 + eta * (1 - h.beta3)
        return torch.minimum(eta, bound) * (m * (h.c1 * h.unscale)), {"m": m, "v": v, "bound": bound}
