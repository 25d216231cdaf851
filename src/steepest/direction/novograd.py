"""NovoGrad: momentum over gradients that are divided by an average of their own norm, tensor by tensor."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.fields import flag, real
from steepest.core.part import Direction, NewState, Scalars, State, scalar
from steepest.core.rule import total


class NovoGrad(Direction):
    r"""The direction of NovoGrad.

    .. math:: v \leftarrow \beta_2 v + (1-\beta_2)\,\|g\|^2 \;(v \leftarrow \|g\|^2 \text{ at } t = 1),\quad
              m \leftarrow \beta_1 m + \Bigl(\frac{g}{\sqrt v + \epsilon} + \lambda x\Bigr),\quad d = m

    with one number v for each tensor.

    Args:
        beta1: default 0.95 (paper).
        beta2: default 0.98 (paper).
        eps: in units of g, default 1e-8 (authors' code).
        weight_decay: λ, inside the momentum, default 0.
        averaging: multiply what enters m by 1 - β₁, default False (paper; an option of the authors' code).

    Source: Ginsburg et al. 2019, arXiv:1905.11286v3, Algorithm 1.

    Note: the paper's first step divides by ‖g‖ without ε, which is 0/0 for a gradient of zeros; here ε stands there, too.
    """

    beta1: float = real("[0, 1)", default=0.95)
    beta2: float = real("[0, 1)", default=0.98)
    eps: float = real("[0, inf)", default=1e-8)
    weight_decay: float = real("[0, inf)", default=0.0)
    averaging: bool = flag(default=False)
    state = {"v": State(signed=False, shape=scalar), "m": State()}
    reads_x = True
    cite = ("ginsburg2019novograd",)

    def scalars(self, t: int, h: Scalars) -> dict[str, float]:
        """The weight of the past norms, and of a gradient in m."""
        return {"past": h.beta2 if t > 1 else 0.0, "fresh": 1 - h.beta1 if self.averaging else 1.0}

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        v = s.v * h.past + total(g * g) * (1 - h.past)
        m = s.m * h.beta1 + (g / (torch.sqrt(v) + h.eps) + x * h.weight_decay) * h.fresh
        return m, {"v": v, "m": m}
