"""AdaBound: Adam whose step size, coordinate by coordinate, is held between two bounds that close in on SGD's."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.fields import flag, real
from steepest.core.part import Direction, NewState, Scalars, State


class AdaBound(Direction):
    r"""Adam with a step size between bounds that tend to one number, so that it ends as SGD with momentum.

    .. math:: \hat\eta = \operatorname{clip}\Bigl(\frac{c_t}{\sqrt v + \epsilon},\;
              \rho\Bigl(1 - \frac{1}{\gamma t + 1}\Bigr),\; \rho\Bigl(1 + \frac{1}{\gamma t}\Bigr)\Bigr),\quad
              d = \hat\eta\, m,\quad c_t = \frac{\sqrt{1-\beta_2^t}}{1-\beta_1^t}

    with m and v as in Adam.  The bounds are relative to the learning rate, as in the authors' code: a schedule moves both.

    Args:
        beta1: decay of the first moment, default 0.9 (paper).
        beta2: decay of the second moment, default 0.999 (paper).
        eps: in units of g, default 1e-8 (authors' code).
        final: ρ, the last step size as a multiple of the learning rate, in units of 1/g, default 100 (0.1 / 0.001, paper).
        gamma: γ, how fast the bounds close, default 1e-3 (1 - β₂, paper).
        bias_correction: c as above, or 1; default True (authors' code).

    Source: Luo et al. 2019, arXiv:1902.09843, Algorithm 2, with the bounds of its section 5.

    Note: Algorithm 2 has neither bias correction nor ε and divides the clipped step size by √t; its experiments, like the
    authors' code, have the first two and not the third.  ``bias_correction=False, eps=0`` with a learning rate of
    lr/√t is Algorithm 2.
    """

    beta1: float = real("[0, 1)", default=0.9)
    beta2: float = real("[0, 1)", default=0.999)
    eps: float = real("[0, inf)", default=1e-8)
    final: float = real("(0, inf)", default=100.0)
    gamma: float = real("(0, inf)", default=1e-3)
    bias_correction: bool = flag(default=True)
    state = {"m": State(), "v": State(signed=False)}
    cite = ("luo2019adaptive",)

    def scalars(self, t: int, h: Scalars) -> dict[str, float]:
        """The correction and the bounds of the step size."""
        c = (1 - h.beta2**t) ** 0.5 / (1 - h.beta1**t) if self.bias_correction else 1.0
        return {"c": c, "least": h.final * (1 - 1 / (h.gamma * t + 1)), "most": h.final * (1 + 1 / (h.gamma * t))}

    def bounded(self, v: Tensor, h: Scalars) -> Tensor:
        """The step size, coordinate by coordinate."""
        return torch.clamp(h.c / (torch.sqrt(v) + h.eps), h.least, h.most)

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        m, v = s.m * h.beta1 + g * (1 - h.beta1), s.v * h.beta2 + g * g * (1 - h.beta2)
        return self.bounded(v, h) * m, {"m": m, "v": v}


class AMSBound(AdaBound):
    r"""AdaBound with the largest second moment seen so far in the place of v.

    .. math:: \hat v \leftarrow \max(\hat v, v),\quad
              \hat\eta = \operatorname{clip}\Bigl(\frac{c_t}{\sqrt{\hat v} + \epsilon},\ldots\Bigr),\quad d = \hat\eta\, m

    Args:
        beta1: decay of the first moment, default 0.9 (paper).
        beta2: decay of the second moment, default 0.999 (paper).
        eps: in units of g, default 1e-8 (authors' code).
        final: ρ, the last step size as a multiple of the learning rate, default 100 (paper).
        gamma: γ, how fast the bounds close, default 1e-3 (paper).
        bias_correction: default True (authors' code).

    Source: Luo et al. 2019, arXiv:1902.09843, Algorithm 3.

    Note: as for AdaBound.
    """

    state = {**AdaBound.state, "v_max": State(signed=False)}

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        m, v = s.m * h.beta1 + g * (1 - h.beta1), s.v * h.beta2 + g * g * (1 - h.beta2)
        v_max = torch.maximum(s.v_max, v)
        return self.bounded(v_max, h) * m, {"m": m, "v": v, "v_max": v_max}
