"""Norms of whole tensors for the maps of parts: of elements, and of a matrix's singular values.

A sum over the elements costs the printed loop one pass; what is no such sum is for lifts that see whole tensors.  Under
FSDP2 all of them are norms of the whole parameter.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from steepest.engine.trace import total


def norm(t: Tensor, p: float = 2.0) -> Tensor:
    r"""The p-norm of the elements of a tensor, :math:`(\sum_i |t_i|^p)^{1/p}`, a 0-dimensional tensor.

    One pass in the printed loop for finite p; the largest magnitude, p = ∞, runs eagerly.

    Args:
        t: any shape.
        p: in (0, ∞], default 2.

    Raises:
        ValueError: p is not above 0.

    >>> norm(torch.tensor([3.0, -4.0])), norm(torch.tensor([3.0, -4.0]), math.inf)
    (tensor(5., dtype=torch.float64), tensor(4.))
    """
    if not p > 0:
        raise ValueError(f"the p of a norm must be above 0, got {p!r}")
    if p == math.inf:
        return t.abs().amax() if not isinstance(t, Tensor) or t.numel() else t.sum()
    if p == 2:
        return torch.sqrt(total(t * t))
    return total(t.abs()) if p == 1 else total(t.abs() ** p) ** (1 / p)


def schatten(t: Tensor, p: float) -> Tensor:
    """The p-norm of a matrix's singular values: 1 is the nuclear, 2 the Frobenius and ∞ the spectral norm.

    For parts with ``pointwise = False``: it needs the matrix.

    Args:
        t: m x n.
        p: in (0, ∞].

    Raises:
        ValueError: t is no matrix, or p is not above 0.

    >>> schatten(torch.diag(torch.tensor([3.0, -4.0])), 1)
    tensor(7., dtype=torch.float64)
    """
    if t.dim() != 2:
        raise ValueError(f"a Schatten norm is that of a matrix, got a tensor of shape {tuple(t.shape)}")
    return norm(torch.linalg.svdvals(t), p)


__all__ = ["norm", "schatten"]
