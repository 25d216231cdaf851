"""Projections onto convex sets, and the proximal map of the 1-norm: the nearest point in the Euclidean norm."""

from __future__ import annotations

import torch
from torch import Tensor

from steepest.core.part import Scalars, check_number
from steepest.geometry import Simplex

_SIMPLEX = Simplex()


def box(x: Tensor, lower: float | Tensor = 0.0, upper: float | Tensor = 1.0) -> Tensor:
    """min(max(x, lower), upper), element by element."""
    return torch.minimum(torch.maximum(x, torch.as_tensor(lower).to(x)), torch.as_tensor(upper).to(x))


def simplex(x: Tensor, radius: float = 1.0) -> Tensor:
    r"""Onto :math:`\{z \ge 0 : \sum z = \text{radius}\}`, each row (last dimension) by itself.

    Source: Duchi et al. 2008, Figure 1; the same map as :class:`steepest.geometry.Simplex`.

    Example:
        >>> simplex(torch.tensor([2.0, 0.0, 1.5]), 1.0)
        tensor([0.7500, 0.0000, 0.2500])
    """
    check_number("simplex", "radius", radius, "(0, inf)")
    z = (x / radius)[None]
    return radius * _SIMPLEX(z, torch.zeros_like(z), torch.ones(()), Scalars())[0]


def l1_ball(x: Tensor, radius: float = 1.0) -> Tensor:
    r"""Onto :math:`\{z : \sum |z| \le \text{radius}\}`, over the whole tensor.

    Source: Duchi et al. 2008, section 4.
    """
    check_number("l1_ball", "radius", radius, "(0, inf)")
    if not float(x.abs().sum()) > radius:
        return x
    return torch.sign(x) * simplex(x.abs().reshape(-1), radius).view(x.shape)


def l2_ball(x: Tensor, radius: float = 1.0) -> Tensor:
    r"""Onto :math:`\{z : \lVert z\rVert_2 \le \text{radius}\}`, over the whole tensor: x · min(1, radius/‖x‖)."""
    check_number("l2_ball", "radius", radius, "(0, inf)")
    size = float(x.norm())
    return x * (radius / size) if size > radius else x


def nuclear_ball(X: Tensor, radius: float = 1.0) -> Tensor:
    r"""Onto the matrices whose singular values sum to at most radius: U diag(σ) Vᵀ with σ projected by :func:`l1_ball`.

    Source: Cai, Candès & Shen 2010, Theorem 2.1, for the ball instead of the penalty.
    """
    U, sigma, Vt = torch.linalg.svd(X, full_matrices=False)
    return X if float(sigma.sum()) <= radius else U * l1_ball(sigma, radius) @ Vt


def soft_threshold(x: Tensor, step: float) -> Tensor:
    r"""The proximal map of :math:`\lVert x\rVert_1`: sign(x) · max(\|x\| - step, 0), element by element.

    Source: Daubechies, Defrise & De Mol 2004.
    """
    return torch.sign(x) * (x.abs() - step).clamp(min=0.0)
