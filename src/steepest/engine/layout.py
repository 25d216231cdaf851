"""Where a tensor's elements lie: kernels walk storage in order, so a parameter's tensors must be laid out alike."""

from __future__ import annotations

import torch
from torch import Tensor


def is_dense(t: Tensor) -> bool:
    """Whether the elements fill a block of memory without gaps or overlaps, in whatever order of dimensions.

    >>> x = torch.zeros(4, 6)
    >>> is_dense(x.T), is_dense(x[:, ::2]), is_dense(torch.zeros(1).expand(3))
    (True, False, False)
    """
    if t.is_contiguous():
        return True
    expected = 1
    for stride, size in sorted((st, sz) for st, sz in zip(t.stride(), t.shape, strict=True) if sz != 1):
        if stride != expected:
            return False
        expected *= size
    return True


def like_storage(t: Tensor, like: Tensor) -> Tensor:
    """A copy of t laid out in memory as ``like`` is."""
    return torch.empty_like(like, dtype=t.dtype).copy_(t)


def strides(t: Tensor) -> tuple[int, ...]:
    """Those of a dense tensor laid out as t is, as far as t is dense; its own for a dense t."""
    return (t if is_dense(t) else torch.empty_like(t)).stride()


def alike(t: Tensor, like: Tensor) -> bool:
    """Whether a kernel that walks both storages in order meets the same elements.

    >>> x = torch.zeros(4, 6)
    >>> alike(torch.ones(4, 6), x), alike(torch.ones(6, 4).T, x), alike(torch.zeros(6, 1), torch.zeros(1, 6).T)
    (True, False, True)
    """
    pairs = zip(t.shape, t.stride(), strides(like), strict=True) if t.shape == like.shape else ()
    return t.shape == like.shape and (t.numel() == 0 or all(n == 1 or a == b for n, a, b in pairs))


def flat(t: Tensor) -> Tensor:
    """A dense tensor's storage as one dimension."""
    return t.as_strided((t.numel(),), (1,)) if t.dim() != 1 or not t.is_contiguous() else t
