"""Norms of the elements of whole tensors, for the maps of parts.

A sum over the elements costs the printed loop one pass; the largest magnitude is for lifts that see whole tensors.  Under
FSDP2 both are norms of the whole parameter.  Norms of a matrix's singular values are in ``core.matrix``.
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


__all__ = ["norm"]
