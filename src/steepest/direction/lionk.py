"""Lion-K: Lion with the gradient of any convex function in the place of the sign."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.fields import real
from steepest.core.norms import norm
from steepest.core.part import Direction, NewState, Scalars, State
from steepest.core.rule import total


class LionK(Direction):
    r"""The gradient of a convex K at a mix of momentum and gradient; here of the 2-norm of each tensor.

    .. math:: d = \nabla K(c),\quad c = \beta_1 m + (1-\beta_1) g,\quad m \leftarrow \beta_2 m + (1-\beta_2) g,\qquad
              K(c) = \lVert c\rVert_2,\quad \nabla K(c) = \frac{c}{\lVert c\rVert_2}

    With decoupled decay λ it minimizes :math:`f(x) + K^*(\lambda x)/\lambda`, with the conjugate K*: x is drawn into the set
    where K*(λx) is finite, here ‖x‖₂ ≤ 1/λ for each tensor.  With the 1-norm it is ``Lion``, and the set is ‖x‖_∞ ≤ 1/λ.

    Args:
        beta1: weight of the momentum in the mix, default 0.9 (Lion).
        beta2: decay of the momentum, default 0.99 (Lion).

    Source: Chen, Liu, Liang & Liu 2024, arXiv:2310.05898, the discrete-time scheme and its table of K.
    """

    beta1: float = real("[0, 1)", default=0.9)
    beta2: float = real("[0, 1)", default=0.99)
    state = {"m": State()}
    cite = ("chen2024lion",)

    def slope(self, c: Tensor, h: Scalars) -> Tensor:
        """∇K(c), 0 at 0."""
        n = norm(c)
        return torch.where(n > 0, c / n, 0.0)

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map; m is updated after the direction was read off."""
        d = self.slope(s.m * h.beta1 + g * (1 - h.beta1), h)
        return d, {"m": s.m * h.beta2 + g * (1 - h.beta2)}


class LionP(LionK):
    r"""Lion-K with the p-norm of each tensor.

    .. math:: \nabla K(c) = \operatorname{sign}(c) \Bigl(\frac{|c|}{\lVert c\rVert_p}\Bigr)^{p-1}

    With decay λ x is drawn into ‖x‖_q ≤ 1/λ with 1/p + 1/q = 1.

    Args:
        beta1: weight of the momentum in the mix, default 0.9 (Lion).
        beta2: decay of the momentum, default 0.99 (Lion).
        p: default 1.5 (ours); 1 is Lion, 2 is LionK.

    Source: as for LionK.
    """

    p: float = real("[1, inf)", default=1.5)

    def slope(self, c: Tensor, h: Scalars) -> Tensor:
        """∇K(c), 0 at 0."""
        n = total(torch.abs(c) ** h.p) ** (1 / h.p)
        return torch.where(n > 0, torch.sign(c) * (torch.abs(c) / n) ** (h.p - 1), 0.0)


class LionHuber(LionK):
    r"""Lion-K with Huber's function: Lion that is linear where the mix is small.

    .. math:: K(c) = \sum_i \begin{cases} c_i^2/2e & |c_i| < e\\ |c_i| - e/2 & \text{else} \end{cases},\quad
              \nabla K(c) = \operatorname{clip}(c/e, -1, 1)

    With decay λ x is drawn into ‖x‖_∞ ≤ 1/λ, and inside of it f(x) + eλ‖x‖²/2 is minimized.

    Args:
        beta1: weight of the momentum in the mix, default 0.9 (Lion).
        beta2: decay of the momentum, default 0.99 (Lion).
        e: in units of g, default 1e-3 (ours).

    Source: as for LionK.
    """

    e: float = real("(0, inf)", default=1e-3)

    def slope(self, c: Tensor, h: Scalars) -> Tensor:
        """∇K(c)."""
        return torch.clamp(c / h.e, -1.0, 1.0)


class LionTruncated(LionHuber):
    r"""Lion-K with a truncated 1-norm: Lion that leaves alone what is small.

    .. math:: K(c) = \sum_i \max(|c_i| - e, 0),\quad \nabla K(c) = \operatorname{sign}(c)\,[\,|c| > e\,]

    With decay λ x is drawn into ‖x‖_∞ ≤ 1/λ, and inside of it f(x) + e‖x‖₁ is minimized.

    Args:
        beta1: weight of the momentum in the mix, default 0.9 (Lion).
        beta2: decay of the momentum, default 0.99 (Lion).
        e: in units of g, default 1e-3 (ours).

    Source: as for LionK.
    """

    def slope(self, c: Tensor, h: Scalars) -> Tensor:
        """∇K(c)."""
        return torch.where(torch.abs(c) > h.e, torch.sign(c), 0.0)
