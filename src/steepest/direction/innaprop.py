"""INNAprop: Newton-like damping without a Hessian, from the geometry of the path, with RMSprop's scales."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.fields import real
from steepest.core.part import Direction, NewState, Scalars, State


class INNAprop(Direction):
    r"""An inertial Newton algorithm with the gradient divided by the root of its second moment.

    .. math:: v \leftarrow \sigma v + (1-\sigma) g^2,\quad \hat g = \frac{g}{\sqrt{v/(1-\sigma^t)} + \epsilon},\quad
              x \leftarrow (1-\eta\lambda)\, x

    .. math:: \psi \leftarrow \Bigl(1-\frac{\eta}{\beta}\Bigr)\psi + \eta\Bigl(\frac1\beta-\alpha\Bigr) x,\quad
              x \leftarrow \Bigl(1+\frac{\eta(1-\alpha\beta)}{\beta-\eta}\Bigr) x - \frac{\eta}{\beta-\eta}\,\psi
                           - \eta\beta\, \hat g

    What is kept is :math:`u = \psi - (1-\alpha\beta)\, x`, which is 0 at the beginning, and the same path is, for any η(t),

    .. math:: u' = u + (1-\alpha\beta)\,\eta\lambda x,\quad d = \lambda x + \tfrac1\beta u' + \beta\hat g,\quad
              u \leftarrow (1-\eta\alpha)\, u' + (1-\alpha\beta)\,\eta\beta\, \hat g

    so that the step may be any, in any geometry.  α = β = 1 is RMSprop.

    Args:
        alpha: α, viscous damping, default 0.1 (paper, for fast training; 2.0 for the best final accuracy).
        damping: β, Newton-like damping in units of η, default 0.9 (paper; 2.0 with α = 2.0); larger than η.
        decay: σ of the second moment, default 0.999 (paper).
        eps: in units of g, default 1e-8 (paper).
        weight_decay: λ, decoupled, default 0.01 (paper); it enters ψ, so it is a part of the direction.

    Source: Bolte, Boustany, Pauwels & Purica 2024, arXiv:2410.10609, Algorithm 1 (INNAprop).
    """

    alpha: float = real("[0, inf)", default=0.1)
    damping: float = real("(0, inf)", default=0.9)
    decay: float = real("[0, 1)", default=0.999)
    eps: float = real("[0, inf)", default=1e-8)
    weight_decay: float = real("[0, inf)", default=0.01)
    state = {"u": State(), "v": State(signed=False)}
    reads_x = True
    cite = ("bolte2024innaprop",)

    def scalars(self, t: int, h: Scalars) -> dict[str, float]:
        """The bias correction 1/√(1 - σᵗ), 1/β and 1 - αβ."""
        return {"root": (1 - h.decay**t) ** -0.5, "per_beta": 1 / h.damping, "left": 1 - h.alpha * h.damping}

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        v = s.v * h.decay + g * g * (1 - h.decay)
        scaled = g / (torch.sqrt(v) * h.root + h.eps) * h.damping
        pulled = x * h.weight_decay
        u = s.u + pulled * (h.left * h.eta)
        return pulled + u * h.per_beta + scaled, {"u": u * (1 - h.eta * h.alpha) + scaled * (h.left * h.eta), "v": v}
