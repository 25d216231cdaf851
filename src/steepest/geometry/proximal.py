"""Proximal steps: a penalty that is handled exactly after the gradient step."""

from __future__ import annotations

import torch
from torch import Tensor

from steepest.core.fields import real
from steepest.core.part import Geometry, Scalars


class L1(Geometry):
    r"""The prox of an L1 penalty (soft threshold), :math:`x^+ = S_{\eta\lambda}(x - \eta d)`; exact zeros appear.

    Args:
        l1: λ, default 1e-4.

    Source: Daubechies, Defrise & De Mol 2004 (ISTA); the penalty is Tibshirani's 1996.

    Note: with a preconditioned direction this is the prox in the Euclidean metric, not in the preconditioner's.
    """

    l1: float = real("[0, inf)", default=1e-4)
    cite = ("tibshirani1996regression",)

    def __call__(self, x: Tensor, u: Tensor, eta: Tensor, h: Scalars) -> Tensor:
        """The map."""
        z = x - u
        return torch.sign(z) * (z.abs() - eta * h.l1).clamp(min=0.0)
