"""The whole spectrum at once, blurred: stochastic Lanczos quadrature.

Each run of Lanczos from a random vector gives nodes and weights that integrate every polynomial up to twice its length
exactly against the spectrum as that vector sees it; the mean over vectors is the spectrum itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from steepest.core.evaluate import Counters
from steepest.landscape.lanczos import krylov
from steepest.landscape.operator import Matrix, operator, since


@dataclass(frozen=True)
class Density:
    """Where the eigenvalues are.

    Args:
        nodes: one row a random vector; estimates of eigenvalues.
        weights: the share of the spectrum at each node; a row sums to 1.
        size: n, the number of eigenvalues.
        cost: evaluations used.
    """

    nodes: Tensor
    weights: Tensor
    size: int
    cost: Counters

    def mean(self, function: Callable[[Tensor], Tensor]) -> tuple[float, float]:
        """The mean of a function over all eigenvalues, and its standard error; n times it is the trace of f(A).

        >>> flat = spectral_density(torch.eye(5))
        >>> flat.mean(torch.exp)
        (2.71828, 0.0)
        """
        each = (self.weights * function(self.nodes)).sum(1)
        return float(each.mean()), float(each.std()) / math.sqrt(len(each))

    def below(self, value: float) -> float:
        """The part of the eigenvalues below a value, half of those at it."""
        return self.mean(lambda x: torch.heaviside(value - x, torch.full_like(x, 0.5)))[0]

    def at(self, values: Tensor, width: float) -> Tensor:
        """The density at these values, each node blurred to a normal distribution of this standard deviation."""
        z = (values.double()[:, None, None] - self.nodes) / width
        bumps = torch.exp(-z * z / 2) / (width * math.sqrt(2 * math.pi))
        return (bumps * self.weights).sum((1, 2)) / len(self.nodes)


def spectral_density(matrix: Matrix, probes: int = 4, most: int = 40, seed: int = 0) -> Density:
    r"""The density of eigenvalues.

    .. math:: \frac1n \sum_i \delta(\lambda - \lambda_i) \approx \frac{1}{k} \sum_{j=1}^{k} \sum_{i=1}^{m}
              (e_1^\top s_{ij})^2\, \delta(\lambda - \theta_{ij})

    with θ, s the eigenvalues and eigenvectors of the tridiagonal matrices of k Lanczos runs of length m.

    Args:
        matrix: a ``Loss`` (its Hessian is meant), an ``Operator`` or a symmetric matrix.
        probes: k, at least 2.
        most: m, products for each; the ends of the spectrum are sharp first, the middle stays blurred.
        seed: of the random vectors.

    Source: Ghorbani, Krishnan & Xiao 2019, arXiv:1901.10159 (from memory); here with full reorthogonalisation.
    """
    A = operator(matrix)
    if probes < 2:
        raise ValueError(f"a standard error needs at least 2 probes, got {probes!r}")
    if most < 1:
        raise ValueError(f"most must be at least one product, got {most!r}")
    spent, nodes, weights = since(A.counters), [], []
    for k in range(probes):
        start = A.random(torch.Generator().manual_seed(seed * 1_000_003 + k), signs=True)
        *_, space = krylov(A, 1, most, seed + 1 + k, start)
        theta, S, _ = space.pairs()
        nodes.append(theta)
        weights.append(S[0] ** 2)
    return Density(torch.stack(nodes), torch.stack(weights), A.size, spent())
