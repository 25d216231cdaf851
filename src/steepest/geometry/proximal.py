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


class L2(Geometry):
    r"""The prox of a squared norm :math:`\frac\lambda2 \lVert x\rVert^2`: :math:`x^+ = (x - \eta d)/(1 + \eta\lambda)`.

    To first order in η it is :class:`steepest.geometry.Decay`, and it decays at any ηλ.

    Args:
        weight_decay: λ, default 0.01.

    Source: Xie et al. 2022, arXiv:2208.06677, Algorithm 1, where it is Adan's weight decay.
    """

    weight_decay: float = real("[0, inf)", default=0.01)
    cite = ("xie2022adan",)

    def __call__(self, x: Tensor, u: Tensor, eta: Tensor, h: Scalars) -> Tensor:
        """The map."""
        return (x - u) / (1 + eta * h.weight_decay)
