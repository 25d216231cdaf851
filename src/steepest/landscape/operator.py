"""A symmetric matrix that is never formed: it is known by its products with vectors, and they are counted.

Every spectral tool here needs nothing else, so it works alike for Hessians, Gauss-Newton matrices, preconditioned ones
and dense matrices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, Protocol

import torch
from torch import Tensor

from steepest.core.evaluate import Counters
from steepest.core.part import described


class Operator:
    """A symmetric n × n matrix A by its products ``A(v)``.

    Args:
        size: n.
        product: computes Av from v; it counts its evaluations in ``counters``.
        counters: where the products are counted.
        dtype: of the vectors.
        device: of the vectors.

    Raises:
        ValueError: a vector of another size, or a product that is not finite.
    """

    def __init__(
        self,
        size: int,
        product: Callable[[Tensor], Tensor],
        counters: Counters | None = None,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
    ) -> None:
        self.size, self.product, self.dtype, self.device = size, product, dtype, torch.device(device)
        self.counters = Counters() if counters is None else counters

    def __call__(self, v: Tensor) -> Tensor:
        """Av."""
        if v.shape != (self.size,):
            raise ValueError(f"a vector of {self.size} numbers is meant, got the shape {tuple(v.shape)}")
        found = self.product(v.to(self.device, self.dtype))
        if not bool(torch.isfinite(found).all()):
            raise ValueError("a product with the curvature matrix is not finite: the loss is not smooth at this point")
        return found

    def random(self, generator: torch.Generator, signs: bool = False) -> Tensor:
        """A vector of n standard normal numbers, or of n random signs; drawn on the CPU, the same on every device."""
        if signs:
            drawn = torch.randint(2, (self.size,), generator=generator).double() * 2 - 1
        else:
            drawn = torch.randn(self.size, generator=generator, dtype=torch.float64)
        return drawn.to(self.device, self.dtype)


class HasHessian(Protocol):
    """What a tool takes in the place of a matrix: a loss, of which the Hessian is meant."""

    def hessian(self) -> Operator:
        """Its Hessian."""


Matrix = Operator | HasHessian | Tensor


def operator(matrix: Any) -> Operator:
    """The matrix that is meant: an operator itself, the Hessian of a loss, or a dense symmetric matrix.

    Raises:
        TypeError: something else.
        ValueError: a dense matrix that is not symmetric.
    """
    if isinstance(matrix, Operator):
        return matrix
    if isinstance(matrix, Tensor):
        if matrix.dim() != 2 or matrix.shape[0] != matrix.shape[1] or not torch.allclose(matrix, matrix.T):
            raise ValueError(f"a symmetric matrix is meant, got a tensor of shape {tuple(matrix.shape)}")
        counters = Counters()

        def product(v: Tensor) -> Tensor:
            counters.hvps += 1
            return matrix @ v

        return Operator(len(matrix), product, counters, matrix.dtype, matrix.device)
    if isinstance(matrix, type) or not hasattr(matrix, "hessian"):
        raise TypeError(f"a Loss, an Operator or a symmetric matrix is meant, got {described(matrix)}")
    found: Operator = matrix.hessian()
    return found


def since(counters: Counters) -> Callable[[], Counters]:
    """Keep the counts so far; the function returned gives what was counted since.

    >>> counters = Counters(forwards=1)
    >>> spent = since(counters)
    >>> counters.forwards += 2
    >>> spent().forwards
    2
    """
    before = counters.as_dict()
    return lambda: Counters(**{f.name: getattr(counters, f.name) - before[f.name] for f in fields(counters)})
