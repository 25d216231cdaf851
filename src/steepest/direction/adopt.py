"""ADOPT: normalise by the second moment from before this gradient, then average; converges for every β₂."""

from __future__ import annotations

import math
from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.fields import flag, real
from steepest.core.part import Direction, NewState, Scalars, State


class Adopt(Direction):
    r"""The direction of ADOPT.

    .. math:: u = \mathrm{clip}\Bigl(\frac{g}{\max(\sqrt{v}, \epsilon)},\, (t-1)^{1/4}\Bigr),\quad
              m \leftarrow \beta_1 m + (1-\beta_1) u,\quad v \leftarrow \beta_2 v + (1-\beta_2) g^2,\quad d = m

    The first step only sets v = g² and does not move.

    Args:
        beta1: decay of the momentum, default 0.9 (paper).
        beta2: decay of the second moment, default 0.9999 (paper).
        eps: floor of √v in units of g, default 1e-6 (paper).
        clip: clip u at (t-1)^¼, default True (Algorithm 2 of the paper's second version).

    Source: Taniguchi et al. 2024, arXiv:2411.02853, Algorithm 2.

    Note: decoupled decay acts from the first step on here; the authors' code leaves the first step out, and couples
    decay to the gradient by default.
    """

    beta1: float = real("[0, 1)", default=0.9)
    beta2: float = real("[0, 1)", default=0.9999)
    eps: float = real("(0, inf)", default=1e-6)
    clip: bool = flag(default=True)
    state = {"m": State(), "v": State(signed=False)}
    cite = ("taniguchi2024adopt",)

    def scalars(self, t: int, h: Scalars) -> dict[str, float]:
        """The clip, and weights that make the first step fill v and leave m at zero."""
        first = t == 1
        return {
            "most": (t - 1) ** 0.25 if self.clip else math.inf,
            "a1": 0.0 if first else 1 - h.beta1,
            "a2": 0.0 if first else h.beta2,
        }

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map; v is the old one in u."""
        u = torch.clamp(g / torch.sqrt(s.v).clamp(min=h.eps), -h.most, h.most)
        m = s.m * h.beta1 + u * h.a1
        return m, {"m": m, "v": s.v * h.a2 + g * g * (1 - h.a2)}
