"""LaProp: Adam the other way round, a momentum of scaled gradients in the place of a scaled momentum."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.fields import real
from steepest.core.part import Direction, NewState, Scalars, State


class LaProp(Direction):
    r"""The direction of LaProp.

    .. math:: v \leftarrow \beta_2 v + (1-\beta_2)\, g^2,\quad
              m \leftarrow \beta_1 m + (1-\beta_1)\, \frac{g}{\sqrt{v / (1-\beta_2^t)} + \epsilon},\quad
              d = \frac{m}{1-\beta_1^t}

    Args:
        beta1: μ, decay of the momentum, default 0.9 (paper).
        beta2: ν, decay of the second moment, default 0.999 (paper).
        eps: in units of g, default 1e-15 (paper).

    Source: Ziyin, Wang & Ueda 2020, arXiv:2002.04839, Algorithm 1.

    Note: the authors' code takes the learning rate into m, which differs where a schedule changes it.
    """

    beta1: float = real("[0, 1)", default=0.9)
    beta2: float = real("[0, 1)", default=0.999)
    eps: float = real("[0, inf)", default=1e-15)
    state = {"m": State(), "v": State(signed=False)}
    cite = ("ziyin2020laprop",)

    def scalars(self, t: int, h: Scalars) -> dict[str, float]:
        """Bias corrections c1 = 1/(1 - β₁ᵗ) and c2 = 1/√(1 - β₂ᵗ)."""
        return {"c1": 1 / (1 - h.beta1**t), "c2": (1 - h.beta2**t) ** -0.5}

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        v = s.v * h.beta2 + g * g * (1 - h.beta2)
        m = s.m * h.beta1 + g / (torch.sqrt(v) * h.c2 + h.eps) * (1 - h.beta1)
        return m * h.c1, {"m": m, "v": v}
