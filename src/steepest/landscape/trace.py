"""The trace of a matrix from products with random vectors, with the standard error of the answer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from steepest.core.evaluate import Counters
from steepest.landscape.operator import Matrix, operator, since


@dataclass(frozen=True)
class Estimate:
    """A random estimate.

    Args:
        value: unbiased.
        error: its standard error, as the scatter of the samples has it; zero where nothing was left to chance.
        samples: random vectors that the scatter was taken from.
        cost: evaluations used.
    """

    value: float
    error: float
    samples: int
    cost: Counters


def _summary(samples: list[float], cost: Counters, exact: float = 0.0) -> Estimate:
    t = torch.tensor(samples, dtype=torch.float64)
    return Estimate(exact + float(t.mean()), float(t.std()) / math.sqrt(len(samples)), len(samples), cost)


def hutchinson_trace(matrix: Matrix, products: int = 30, seed: int = 0) -> Estimate:
    r"""The trace by Hutchinson's estimator.

    .. math:: \operatorname{tr} A \approx \frac1m \sum_{i=1}^m v_i^\top A v_i, \qquad v_i \text{ random signs}

    Its variance is 2/m times the sum of squares off the diagonal: no error at all on a diagonal matrix.

    >>> hutchinson_trace(torch.diag(torch.tensor([1.0, 2.0, 3.0])), products=2).value
    6.0

    Args:
        matrix: a ``Loss`` (its Hessian is meant), an ``Operator`` or a symmetric matrix.
        products: m, at least 2.
        seed: of the signs.

    Source: Hutchinson 1989 (from memory); signs instead of normal numbers as there.
    """
    A = operator(matrix)
    if products < 2:
        raise ValueError(f"a standard error needs at least 2 products, got {products!r}")
    spent, generator = since(A.counters), torch.Generator().manual_seed(seed)
    samples = []
    for _ in range(products):
        v = A.random(generator, signs=True)
        samples.append(_dot(v, A(v)))
    return _summary(samples, spent())


def hutchpp_trace(matrix: Matrix, products: int = 30, seed: int = 0) -> Estimate:
    r"""The trace by Hutch++: exactly on the range of a sketch, at random on the rest.

    .. math:: \operatorname{tr} A \approx \operatorname{tr}(Q^\top A Q) + \frac{3}{m} \operatorname{tr}\bigl(
              G^\top (I - QQ^\top) A (I - QQ^\top) G\bigr), \qquad Q = \operatorname{orth}(A S)

    with m/3 columns of random signs each in S and G.  Where few eigenvalues carry the trace, as in Hessians of networks,
    the error falls like 1/m and not 1/√m.

    Args:
        matrix: a ``Loss`` (its Hessian is meant), an ``Operator`` or a symmetric matrix.
        products: m, at least 6; a third of it, rounded down, is spent on each stage.
        seed: of the signs.

    Source: Meyer, Musco, Musco & Woodruff 2021, arXiv:2010.09649, Algorithm 1 (from memory).
    """
    A = operator(matrix)
    third = products // 3
    if third < 2:
        raise ValueError(f"a standard error needs at least 6 products, got {products!r}")
    spent, generator = since(A.counters), torch.Generator().manual_seed(seed)
    sketch = torch.stack([A(A.random(generator, signs=True)) for _ in range(third)], 1)
    Q = _orthonormal(sketch)
    exact = sum(_dot(q, A(q)) for q in Q.T)
    if Q.shape[1] == A.size:
        return Estimate(exact, 0.0, 0, spent())
    samples = []
    for _ in range(third):
        v = A.random(generator, signs=True)
        v = v - Q @ (Q.T @ v)
        samples.append(_dot(v, A(v)))
    return _summary(samples, spent(), exact)


def _orthonormal(sketch: Tensor) -> Tensor:
    """An orthonormal basis of the columns' span; columns that bring nothing new are left out."""
    U, s, _ = torch.linalg.svd(sketch, full_matrices=False)
    found: Tensor = U[:, s > s.max() * 10 * torch.finfo(s.dtype).eps]
    return found


def _dot(a: Tensor, b: Tensor) -> float:
    return float(a.double() @ b.double())
