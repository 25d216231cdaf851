"""AdEMAMix: Adam with a second, much slower average of gradients beside the first."""

from __future__ import annotations

import math
from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.fields import real, whole
from steepest.core.part import Direction, NewState, Scalars, State


class AdEMAMix(Direction):
    r"""The direction of AdEMAMix.

    .. math:: m_1 \leftarrow \beta_1 m_1 + (1-\beta_1)\, g,\quad m_2 \leftarrow \beta_3' m_2 + (1-\beta_3')\, g,\quad
              v \leftarrow \beta_2 v + (1-\beta_2)\, g^2,\quad
              d = \frac{m_1 / (1-\beta_1^t) + \alpha' m_2}{\sqrt{v / (1-\beta_2^t)} + \epsilon}

    Over the first T steps α' rises to α in proportion to t, and β₃' from β₁ to β₃ such that the half-life of m₂ does:

    .. math:: \beta_3' = \min\Bigl\{\beta_3,\;
              \exp\frac{\ln\beta_1 \ln\beta_3}{(1-\frac tT)\ln\beta_3 + \frac tT \ln\beta_1}\Bigr\}

    Args:
        beta1: decay of the fast average, default 0.9 (paper).
        beta2: decay of the second moment, default 0.999 (paper).
        beta3: decay of the slow average, default 0.9999 (paper).
        alpha: α, weight of the slow average, default 5 (paper: 4 to 10).
        eps: in units of g, default 1e-8 (paper).
        warmup: T, steps, default 0: α and β₃ are there from the first step (paper: the length of the run).

    Source: Pagliardini, Ablin & Grangier 2024, arXiv:2409.03137, Algorithm 1 and its two schedulers.

    Note: m₂ has no bias correction, in the paper and here.
    """

    beta1: float = real("[0, 1)", default=0.9)
    beta2: float = real("[0, 1)", default=0.999)
    beta3: float = real("(0, 1)", default=0.9999)
    alpha: float = real("[0, inf)", default=5.0)
    eps: float = real("[0, inf)", default=1e-8)
    warmup: int = whole("[0, inf)", default=0)
    state = {"m": State(), "slow": State(), "v": State(signed=False)}
    cite = ("pagliardini2024ademamix",)

    def scalars(self, t: int, h: Scalars) -> dict[str, float]:
        """Adam's bias corrections, and α' and β₃' at step t."""
        part, beta3 = 1.0, h.beta3
        if t < self.warmup:
            part = t / self.warmup
            ratio = math.log(h.beta3) / math.log(h.beta1) if h.beta1 > 0 else 0.0
            beta3 = min(h.beta3, math.exp(math.log(h.beta3) / ((1 - part) * ratio + part)))
        return {"c1": 1 / (1 - h.beta1**t), "c2": (1 - h.beta2**t) ** -0.5, "mix": part * h.alpha, "late": beta3}

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        m = s.m * h.beta1 + g * (1 - h.beta1)
        slow = s.slow * h.late + g * (1 - h.late)
        v = s.v * h.beta2 + g * g * (1 - h.beta2)
        return (m * h.c1 + slow * h.mix) / (torch.sqrt(v) * h.c2 + h.eps), {"m": m, "slow": slow, "v": v}
