"""Eigenvalues at the ends of a spectrum by Lanczos, with an error bound for each.

Products of the matrix with a few random vectors, again and again, span a space in which the ends of the spectrum show
first.  All vectors are kept and every new one is made orthogonal to all of them, twice: the memory is that of one
vector a product, and no eigenvalue appears that is not there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from steepest.core.evaluate import Counters
from steepest.landscape.operator import Matrix, Operator, operator, since


@dataclass(frozen=True)
class Eigenvalues:
    """Eigenvalues from one end of a spectrum.

    Args:
        values: from the end inwards.
        errors: for each value θ a bound: an eigenvalue lies within this distance of it, up to the rounding of products.
        vectors: unit vectors, one a row, of which ``A v - θ v`` has the length of the error.
        converged: whether all errors are within the tolerance.
        cost: evaluations used.
    """

    values: tuple[float, ...]
    errors: tuple[float, ...]
    vectors: Tensor
    converged: bool
    cost: Counters


@dataclass(frozen=True)
class Space:
    """What is known after some products: A Q = Q T + rest, Q with orthonormal rows."""

    Q: Tensor
    T: Tensor
    rest: Tensor

    def pairs(self) -> tuple[Tensor, Tensor, Tensor]:
        """Ritz values in ascending order, their vectors in coordinates of Q (columns), lengths of their residuals."""
        theta, S = torch.linalg.eigh((self.T + self.T.T) / 2)
        return theta, S, torch.linalg.vector_norm(self.rest @ S, dim=0)


def krylov(A: Operator, width: int, most: int, seed: int, start: Tensor | None = None) -> Iterator[Space]:
    r"""Band Lanczos: one product at a time, with ``width`` random vectors to begin with.

    .. math:: A q_j = \sum_{i \le j + b} T_{ij}\, q_i, \qquad b = \text{width}; \quad b = 1 \text{ is Lanczos' own method}

    An eigenvalue that occurs up to b times is seen as often.  Where the space closes (the new vector vanishes), a random
    one takes its place, so that it grows until it holds everything.

    Source: Ruhe 1979 for the band; the bound on errors in Parlett, The Symmetric Eigenvalue Problem (both from memory).
    """
    generator = torch.Generator().manual_seed(seed)
    most, width = min(most, A.size), min(width, A.size)
    rows = min(most + width, A.size)
    Q = torch.zeros(rows, A.size, dtype=A.dtype, device=A.device)
    T = torch.zeros(rows, most, dtype=torch.float64)
    held, scale, tiny = 0, 0.0, 100 * torch.finfo(A.dtype).eps

    def outside(w: Tensor) -> tuple[Tensor, Tensor]:
        """What of w lies outside the space, and its coordinates inside."""
        h = torch.zeros(held, dtype=A.dtype, device=A.device)
        for _ in range(2):
            more = Q[:held] @ w
            w, h = w - more @ Q[:held], h + more
        return w, h

    def fresh() -> Tensor:
        w = outside(A.random(generator))[0]
        w = outside(w / torch.linalg.vector_norm(w))[0]
        unit: Tensor = w / torch.linalg.vector_norm(w)
        return unit

    for i in range(width):
        Q[held] = fresh() if i or start is None else start / start.norm()
        held += 1
    for j in range(most):
        w, h = outside(A(Q[j]))
        T[:held, j] = h.double()
        beta = float(torch.linalg.vector_norm(w, dtype=torch.float64))
        scale = max(scale, float(h.abs().max()), beta)
        if held < rows:
            closed = beta <= tiny * scale
            Q[held] = fresh() if closed else outside(w / beta)[0]
            Q[held] /= Q[held].norm()
            T[held, j] = 0.0 if closed else beta
            held += 1
        yield Space(Q[: j + 1], T[: j + 1, : j + 1], T[j + 1 : held, : j + 1])


def _ends(matrix: Matrix, wanted: tuple[int, int], tol: float, most: int, seed: int) -> tuple[Eigenvalues, Eigenvalues]:
    """So many eigenvalues from the lower and from the upper end, in one go."""
    A = operator(matrix)
    for k in wanted:
        if not isinstance(k, int) or isinstance(k, bool) or k > A.size or sum(wanted) < 1:
            raise ValueError(f"the number of eigenvalues must be an integer from 1 to {A.size}, got {k!r}")
    low, high = wanted
    if not 0 < tol < 1:
        raise ValueError(f"tol must lie in (0, 1), got {tol!r}")
    if most < 1:
        raise ValueError(f"most must be at least one product, got {most!r}")
    spent, done = since(A.counters), False
    for space in krylov(A, max(low, high), most, seed):
        theta, S, residual = space.pairs()
        m = len(theta)
        ends = [*range(low), *range(m - high, m)]
        if m >= min(A.size, low + high):
            done = bool((residual[ends] <= tol * theta.abs().max()).all())
        if done or m == A.size:
            break
    cost = spent()
    cut = [list(range(min(low, m))), list(range(m - 1, max(m - high, 0) - 1, -1))]
    lower, upper = (
        Eigenvalues(tuple(theta[i].tolist()), tuple(residual[i].tolist()), S[:, i].T.to(space.Q) @ space.Q,
                    done or m == A.size, cost) for i in cut
    )  # fmt: skip
    return lower, upper


def top_eigenvalues(matrix: Matrix, k: int = 1, tol: float = 1e-3, most: int = 100, seed: int = 0) -> Eigenvalues:
    """The k largest eigenvalues: the sharpest directions of a loss.

    >>> found = top_eigenvalues(torch.diag(torch.tensor([1.0, 5.0, 2.0, -7.0])), k=2)
    >>> [round(value, 4) for value in found.values]
    [5.0, 2.0]

    Args:
        matrix: a ``Loss`` (its Hessian is meant), an ``Operator`` such as ``loss.ggn()``, or a symmetric matrix.
        k: how many; each is seen as often as it occurs.
        tol: wanted length of ``A v - θ v`` relative to the largest absolute eigenvalue.
        most: products at most; if they do not suffice, ``converged`` is False and the errors say how far.
        seed: of the random vectors; torch's own random state is left alone.
    """
    return _ends(matrix, (0, k), tol, most, seed)[1]


def bottom_eigenvalues(matrix: Matrix, k: int = 1, tol: float = 1e-3, most: int = 100, seed: int = 0) -> Eigenvalues:
    """The k smallest eigenvalues, the most negative first: whether a point is a saddle.

    The tolerance is relative to the largest absolute eigenvalue, so a negative curvature far smaller than that needs a
    smaller ``tol``.  Arguments are those of ``top_eigenvalues``.
    """
    return _ends(matrix, (k, 0), tol, most, seed)[0]


def edges(matrix: Matrix, tol: float = 1e-3, most: int = 100, seed: int = 0) -> tuple[Eigenvalues, Eigenvalues]:
    """The smallest and the largest eigenvalue from the same products, whose cost both name.

    >>> low, high = edges(torch.diag(torch.tensor([1.0, 5.0, 2.0, -7.0])))
    >>> round(low.values[0], 4), round(high.values[0], 4)
    (-7.0, 5.0)
    """
    return _ends(matrix, (1, 1), tol, most, seed)
