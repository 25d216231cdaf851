"""RAdam: Adam whose scaling begins when its second moment has seen enough gradients to be trusted."""

from __future__ import annotations

import math
from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.fields import real
from steepest.core.part import Direction, NewState, Scalars, State


class RAdam(Direction):
    r"""The direction of RAdam.

    .. math:: \rho_\infty = \frac{2}{1-\beta_2} - 1,\quad \rho_t = \rho_\infty - \frac{2 t \beta_2^t}{1-\beta_2^t},\quad
              r_t = \sqrt{\frac{(\rho_t-4)(\rho_t-2)\,\rho_\infty}{(\rho_\infty-4)(\rho_\infty-2)\,\rho_t}},\quad
              d = \begin{cases}\hat m & \rho_t \le 5\\
                  r_t\, \hat m \sqrt{1-\beta_2^t}\,/\,(\sqrt v + \epsilon) & \rho_t > 5\end{cases}

    with Adam's moments m̂ = m/(1 - β₁ᵗ) and v.

    Args:
        beta1: decay of the first moment, default 0.9 (paper).
        beta2: decay of the second moment, default 0.999 (paper); up to 2/3 the scaling never begins.
        eps: in units of g, default 1e-8 (torch; the paper has none).

    Source: Liu et al. 2020, arXiv:1908.03265v4, Algorithm 2.

    Note: the paper scales from ρ > 4 on, torch and the authors' later code from ρ > 5, and so do we; with β₂ = 0.999 that is
    the sixth step in the place of the fifth.
    """

    beta1: float = real("[0, 1)", default=0.9)
    beta2: float = real("[0, 1)", default=0.999)
    eps: float = real("[0, inf)", default=1e-8)
    state = {"m": State(), "v": State(signed=False)}
    cite = ("liu2020radam",)
    torch_names = {"m": "exp_avg", "v": "exp_avg_sq"}

    def scalars(self, t: int, h: Scalars) -> dict[str, float]:
        """Adam's c1 and c2; r/(1 - β₁ᵗ) or 1/(1 - β₁ᵗ) as "gain", and whether there is no scaling."""
        far = 2 / (1 - h.beta2) - 1
        rho = far - 2 * t * h.beta2**t / (1 - h.beta2**t)
        if rho <= 5:
            return {"gain": 1 / (1 - h.beta1**t), "scaled": 0.0, "plain": 1.0}
        r = math.sqrt((rho - 4) * (rho - 2) * far / ((far - 4) * (far - 2) * rho))
        return {"gain": r * math.sqrt(1 - h.beta2**t) / (1 - h.beta1**t), "scaled": 1.0, "plain": 0.0}

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        m = s.m * h.beta1 + g * (1 - h.beta1)
        v = s.v * h.beta2 + g * g * (1 - h.beta2)
        return m * h.gain / ((torch.sqrt(v) + h.eps) * h.scaled + h.plain), {"m": m, "v": v}
