"""Adan: Nesterov's look ahead from an average of differences of gradients."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.fields import real
from steepest.core.part import Direction, NewState, Scalars, State


class Adan(Direction):
    r"""The direction of Adan, with δ = g - g₋, the difference from the gradient of the step before; 0 at first.

    .. math:: m \leftarrow \beta_1 m + (1-\beta_1)\, g,\quad v \leftarrow \beta_2 v + (1-\beta_2)\, \delta,\quad
              n \leftarrow \beta_3 n + (1-\beta_3)\, (g + \beta_2 \delta)^2,\quad
              d = \frac{\hat m + \beta_2 \hat v}{\sqrt{\hat n} + \epsilon}

    with a hat for the quotient by 1 - βᵗ.

    Args:
        beta1: decay of m, default 0.98 (authors' code; the paper writes 1 - β for ours).
        beta2: decay of v and weight of the look ahead, default 0.92 (authors' code).
        beta3: decay of n, default 0.99 (authors' code).
        eps: in units of g, default 1e-8 (authors' code).

    Source: Xie et al. 2022, arXiv:2208.06677, Algorithm 1, with the bias corrections of the authors' code.
    """

    beta1: float = real("[0, 1)", default=0.98)
    beta2: float = real("[0, 1)", default=0.92)
    beta3: float = real("[0, 1)", default=0.99)
    eps: float = real("[0, inf)", default=1e-8)
    state = {"m": State(), "v": State(), "n": State(signed=False), "g_last": State()}
    cite = ("xie2022adan",)

    def scalars(self, t: int, h: Scalars) -> dict[str, float]:
        """Whether there is a gradient before this one, and the three bias corrections, β₂ in the second."""
        return {"any": float(t > 1), "of_m": 1 / (1 - h.beta1**t), "of_v": h.beta2 / (1 - h.beta2**t),
                "of_n": (1 - h.beta3**t) ** -0.5}  # fmt: skip

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        delta = (g - s.g_last) * h.any
        ahead = g + delta * h.beta2
        m = s.m * h.beta1 + g * (1 - h.beta1)
        v = s.v * h.beta2 + delta * (1 - h.beta2)
        n = s.n * h.beta3 + ahead * ahead * (1 - h.beta3)
        return (m * h.of_m + v * h.of_v) / (torch.sqrt(n) * h.of_n + h.eps), {"m": m, "v": v, "n": n, "g_last": g}
