"""Divide a moving average of gradients by a moving average of the curvature's diagonal, which an oracle estimates."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.fields import real
from steepest.core.part import Direction, NewState, Scalars, State


class AdaHessian(Direction):
    r"""Adam with the Hessian's diagonal in the place of the gradient's second moment.

    .. math:: m \leftarrow \beta_1 m + (1-\beta_1) g,\quad v \leftarrow \beta_2 v + (1-\beta_2) D^2,\quad
              d = \frac{m / (1-\beta_1^t)}{\bigl(v / (1-\beta_2^t)\bigr)^{k/2} + \epsilon}

    with D the estimate of an oracle (``oracle.Hutchinson``, with its spatial averages).  Where that estimates every n-th step
    only, the steps between take the last D again.

    Args:
        beta1: decay of the first moment, default 0.9 (paper).
        beta2: decay of the Hessian's second moment, default 0.999 (paper).
        eps: in units of D^k, default 1e-4 (authors' code; the paper has none).
        power: k, the Hessian power, default 1 (paper); 0 is momentum alone.

    Source: Yao, Gholami, Shen, Mustafa, Keutzer & Mahoney 2021, arXiv:2006.00719, Algorithm 1.
    """

    beta1: float = real("[0, 1)", default=0.9)
    beta2: float = real("[0, 1)", default=0.999)
    eps: float = real("[0, inf)", default=1e-4)
    power: float = real("[0, 1]", default=1.0)
    state = {"m": State(), "v": State(signed=False)}
    needs = frozenset({"curvature"})
    cite = ("yao2021adahessian",)

    def scalars(self, t: int, h: Scalars) -> dict[str, float]:
        """Bias corrections c1 = 1/(1 - β₁ᵗ) and c2 = 1/(1 - β₂ᵗ), and k/2."""
        return {"c1": 1 / (1 - h.beta1**t), "c2": 1 / (1 - h.beta2**t), "half": h.power / 2}

    def heading(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> Tensor:
        """The new m: the denominator is positive."""
        return s.m * h.beta1 + g * (h.w * (1 - h.beta1))

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        m = self.heading(g, x, s, h)
        v = s.v * h.beta2 + s.probe * s.probe * (1 - h.beta2)
        return m * h.c1 / (torch.pow(v * h.c2, h.half) + h.eps), {"m": m, "v": v}


class Sophia(Direction):
    r"""Divide by an average of the curvature, and let no coordinate move by more than the learning rate.

    .. math:: m \leftarrow \beta_1 m + (1-\beta_1) g,\quad h \leftarrow \beta_2 h + (1-\beta_2)\hat h
              \text{ where } \hat h \text{ is new},\quad
              d = \operatorname{clip}\!\Bigl(\frac{m}{\max(\gamma h, \epsilon)}, -1, 1\Bigr)

    with ĥ the estimate of an oracle: ``oracle.Hutchinson(every=10)`` makes it Sophia-H,
    ``oracle.GaussNewtonBartlett(every=10)`` Sophia-G.  Where h is negative or zero, d is the sign of m.

    Args:
        beta1: decay of the first moment, default 0.96 (paper).
        beta2: decay of the curvature, per estimate, default 0.99 (paper).
        gamma: γ in units of g x²/f; the larger, the fewer coordinates are clipped; default 0.01 (paper, Sophia-H).
        eps: in units of g, default 1e-12 (paper).

    Source: Liu, Li, Hall, Liang & Ma 2024, arXiv:2305.14342, Algorithm 3.

    Note: the paper's first version clips m/max(h, ε) at ±ρ, which is γ = ρ here with a learning rate ρ times as large.
    The authors' code divides by ρBh + 1e-15.  No bias correction, as in the paper: while m is small so are the steps, and h
    begins near 0, where d is a sign.
    """

    beta1: float = real("[0, 1)", default=0.96)
    beta2: float = real("[0, 1)", default=0.99)
    gamma: float = real("(0, inf)", default=0.01)
    eps: float = real("(0, inf)", default=1e-12)
    state = {"m": State(), "H": State()}
    needs = frozenset({"curvature"})
    cite = ("liu2024sophia",)

    def scalars(self, t: int, h: Scalars) -> dict[str, float]:
        """The weight of the past: all of it where no estimate is new."""
        return {"past": h.beta2 if h.fresh else 1.0}

    def heading(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> Tensor:
        """The new m: the denominator is positive."""
        return s.m * h.beta1 + g * (h.w * (1 - h.beta1))

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        m = self.heading(g, x, s, h)
        H = s.H * h.past + s.probe * (1 - h.past)
        return (m / (H * h.gamma).clamp(min=h.eps)).clamp(-1.0, 1.0), {"m": m, "H": H}
