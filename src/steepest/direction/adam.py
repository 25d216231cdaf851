"""Adam: divide a moving average of gradients by the root of a moving average of their squares."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.fields import flag, real
from steepest.core.part import Direction, NewState, Scalars, State


class Adam(Direction):
    r"""The direction of Adam.

    .. math:: m \leftarrow \beta_1 m + (1-\beta_1) g,\quad v \leftarrow \beta_2 v + (1-\beta_2) g^2,\quad
              d = \frac{m / (1-\beta_1^t)}{\sqrt{v / (1-\beta_2^t)} + \epsilon}

    Args:
        beta1: decay of the first moment, default 0.9 (paper).
        beta2: decay of the second moment, default 0.999 (paper).
        eps: in units of g, default 1e-8 (paper).
        bias_correction: divide the moments by 1 - βᵗ, default True (paper).

    Source: Kingma & Ba 2015, arXiv:1412.6980, Algorithm 1.
    """

    beta1: float = real("[0, 1)", default=0.9)
    beta2: float = real("[0, 1)", default=0.999)
    eps: float = real("[0, inf)", default=1e-8)
    bias_correction: bool = flag(default=True)
    state = {"m": State(), "v": State(signed=False)}
    gives = frozenset({"weighted moment"})
    cite = ("kingma2015adam",)
    torch_names = {"m": "exp_avg", "v": "exp_avg_sq"}

    def scalars(self, t: int, h: Scalars) -> dict[str, float]:
        """Bias corrections c1 = 1/(1 - β₁ᵗ) and c2 = 1/√(1 - β₂ᵗ)."""
        if not self.bias_correction:
            return {"c1": 1.0, "c2": 1.0}
        return {"c1": 1 / (1 - h.beta1**t), "c2": (1 - h.beta2**t) ** -0.5}

    def heading(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> Tensor:
        """The new m: the denominator is positive."""
        return s.m * h.beta1 + g * (h.w * (1 - h.beta1))

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        m = self.heading(g, x, s, h)
        v = s.v * h.beta2 + g * g * (1 - h.beta2)
        return m * h.c1 / (torch.sqrt(v) * h.c2 + h.eps), {"m": m, "v": v}


class AMSGrad(Adam):
    r"""Adam that divides by the largest second moment seen so far.

    .. math:: \hat v \leftarrow \max(\hat v, v),\quad d = \frac{m/(1-\beta_1^t)}{\sqrt{\hat v/(1-\beta_2^t)} + \epsilon}

    Args:
        beta1: decay of the first moment, default 0.9.
        beta2: decay of the second moment, default 0.999.
        eps: in units of g, default 1e-8.
        bias_correction: default True, as torch does.

    Source: Reddi, Kale & Kumar 2018, arXiv:1904.09237, Algorithm 2.

    Note: the paper has neither bias correction nor eps and lets the step size fall as 1/√t; pass
    ``bias_correction=False, eps=0`` for it.  The maximum is of the uncorrected v, in the paper and in torch.
    """

    state = {**Adam.state, "v_max": State(signed=False)}
    cite = ("reddi2018convergence",)
    torch_names = {**Adam.torch_names, "v_max": "max_exp_avg_sq"}

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        m = self.heading(g, x, s, h)
        v = s.v * h.beta2 + g * g * (1 - h.beta2)
        v_max = torch.maximum(s.v_max, v)
        return m * h.c1 / (torch.sqrt(v_max) * h.c2 + h.eps), {"m": m, "v": v, "v_max": v_max}
