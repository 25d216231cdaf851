"""FAdam: Adam read as natural gradient descent with a diagonal empirical Fisher matrix, and changed accordingly."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.fields import real
from steepest.core.part import Direction, NewState, Scalars, State
from steepest.core.rule import total


class FAdam(Direction):
    r"""The direction of Fisher Adam: momentum over clipped natural gradients, and natural weight decay.

    .. math:: f \leftarrow \hat\beta_2 f + (1-\hat\beta_2)\, g^2,\quad
              \hat\beta_2 = \beta_2\frac{1-\beta_2^{t-1}}{1-\beta_2^t},\quad
              F = f^p + \min(\epsilon, \epsilon_2 \operatorname{rms}(g))

    .. math:: m \leftarrow \beta_1 m + (1-\beta_1) \operatorname{cut}(g / F),\quad
              d = m + \lambda \operatorname{cut}(x / F),\quad \operatorname{cut}(u) = \frac{u}{\max(1, \operatorname{rms}(u)/c)}

    with the root mean square over a tensor.  Where F is 0 (no gradient yet) both quotients are 0.

    Args:
        beta1: decay of the momentum, default 0.9 (paper).
        beta2: decay of the Fisher matrix, default 0.999 (paper).
        eps: ε in units of g, default 1e-8 (paper).
        eps2: ε₂, the largest part of rms(g) that ε may be, default 0.01 (paper).
        power: p, default ½ (paper).
        clip: c, default 1 (paper).
        weight_decay: λ, default 0.

    Source: Hwang 2024, arXiv:2405.12807, Algorithm 1.

    Note: equations as in public code and its comments on Algorithm 1, in which cut(u) is c u / max(1, rms(u)): the same
    for c = 1.  That code has ε = 1e-7 and ε₂ = 1e-3, and divides 0 by 0 where a tensor's first gradient is 0.
    """

    beta1: float = real("[0, 1)", default=0.9)
    beta2: float = real("[0, 1)", default=0.999)
    eps: float = real("[0, inf)", default=1e-8)
    eps2: float = real("[0, inf)", default=0.01)
    power: float = real("(0, 1]", default=0.5)
    clip: float = real("(0, inf)", default=1.0)
    weight_decay: float = real("[0, inf)", default=0.0)
    state = {"m": State(), "f": State(signed=False)}
    reads_x = True
    cite = ("hwang2024fadam",)

    def scalars(self, t: int, h: Scalars) -> dict[str, float]:
        """The decay of f, which makes it a mean of all squares seen."""
        return {"past": h.beta2 * (1 - h.beta2 ** (t - 1)) / (1 - h.beta2**t)}

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map, with three sums over the tensor."""

        def rms(u: Tensor) -> Tensor:
            return torch.sqrt(total(u * u) / h.numel)

        def cut(u: Tensor) -> Tensor:
            u = torch.where(F > 0, u / F, 0.0)
            return u / torch.clamp(rms(u) / h.clip, min=1.0)

        f = s.f * h.past + g * g * (1 - h.past)
        F = f**h.power + torch.clamp(rms(g) * h.eps2, max=h.eps)
        m = s.m * h.beta1 + cut(g) * (1 - h.beta1)
        return m + cut(x) * h.weight_decay, {"m": m, "f": f}
