"""AdaBelief: divide by how far the gradient is from what its moving average predicted."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.fields import real
from steepest.core.part import Direction, NewState, Scalars, State


class AdaBelief(Direction):
    r"""The direction of AdaBelief.

    .. math:: m \leftarrow \beta_1 m + (1-\beta_1) g,\quad v \leftarrow \beta_2 v + (1-\beta_2)(g - m)^2 + \epsilon,
              \quad d = \frac{m/(1-\beta_1^t)}{\sqrt{v/(1-\beta_2^t)} + \epsilon}

    Args:
        beta1: decay of the first moment, default 0.9 (paper).
        beta2: decay of the belief, default 0.999 (paper).
        eps: added to v at every step, where it stays, so v/(1-β₂ᵗ) has the floor eps/(1-β₂); default 1e-8, the paper's
            for convolutional nets (1e-16 for transformers and GANs).

    Source: Zhuang et al. 2020, arXiv:2010.07468, Algorithm 2.

    Note: from version 0.1.0 on the authors' package also rectifies (RAdam) by default; the paper does not.
    """

    beta1: float = real("[0, 1)", default=0.9)
    beta2: float = real("[0, 1)", default=0.999)
    eps: float = real("[0, inf)", default=1e-8)
    state = {"m": State(), "v": State(signed=False)}
    cite = ("zhuang2020adabelief",)

    def scalars(self, t: int, h: Scalars) -> dict[str, float]:
        """Bias corrections."""
        return {"c1": 1 / (1 - h.beta1**t), "c2": (1 - h.beta2**t) ** -0.5}

    def heading(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> Tensor:
        """The new m."""
        return s.m * h.beta1 + g * (1 - h.beta1)

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map; m is the new one in g - m."""
        m = self.heading(g, x, s, h)
        v = s.v * h.beta2 + (g - m) * (g - m) * (1 - h.beta2) + h.eps
        return m * h.c1 / (torch.sqrt(v) * h.c2 + h.eps), {"m": m, "v": v}
