"""A function without gradients, which may be evaluated at many points at once, in any process."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from steepest.solve.problem import Problem, Tree

#: evaluates many points: (f, points) -> values in their order; the builtin map, or one of a pool of processes
Map = Callable[[Callable[[Tree], float], Sequence[Tree]], Sequence[float]]


class BlackBox(Problem):
    """Minimize f(x), of which nothing is known but values.

    Args:
        f: returns a number; +inf where x is not feasible.
        x0: where to begin.
        pool: evaluates points in their order, ``pool(f, points)``; default one after the other. The ``map`` of an executor of
            :mod:`concurrent.futures` fits, f then must be importable.

    Raises:
        TypeError: f is no function.
    """

    def __init__(self, f: Callable[[Tree], float], x0: Tree, pool: Map | None = None) -> None:
        if not callable(f):
            raise TypeError(f"f must be a function of x, got {f!r:.40}")
        super().__init__(x0)
        self.f, self.pool = f, pool or (lambda g, points: [g(point) for point in points])

    def values(self, X: Tensor) -> Tensor:
        """f at each row of X; counts one nfev each.

        Raises:
            ValueError: the pool brought another number of values.
        """
        self.counts.nfev += len(X)
        found = [float(value) for value in self.pool(self.f, [self.tree(x) for x in X])]
        if len(found) != len(X):
            raise ValueError(f"the pool was given {len(X)} points and brought {len(found)} values")
        return torch.tensor(found, dtype=X.dtype, device=X.device)
