"""A matrix of low rank that is seen through a linear map only: some of its entries, or sums of them with weights.

The unknowns are factors and never the matrix: X of X Xᵀ, or X and Y of X Yᵀ. The rank of what is found is at most their number
of columns, which may be larger than the rank that is looked for.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from steepest.solve.problem import Problem, derivative

Factors = Tensor | tuple[Tensor, Tensor]


class Observed(Problem):
    r"""Find a matrix M of low rank with :math:`\mathcal A(M) = y`, where M = X Xᵀ (or X Yᵀ) and X is n × k (Y is m × k).

    Args:
        A: a linear map from a matrix to a vector; its adjoint comes from autograd.
        y: what was observed, a vector.
        x0: X, or the pair (X, Y).

    Raises:
        ValueError: x0 is not a matrix or a pair of matrices with as many columns; y is not finite, or not what A gives.

    Example:
        >>> whole = Observed(lambda M: M.reshape(-1), torch.tensor([4.0, 0, 0, 0]), torch.tensor([[1.0], [0.0]]))
        >>> whole.residual(whole.start), whole.back(whole.residual(whole.start))
        (tensor([-3.,  0.,  0.,  0.]), tensor([[-3.,  0.],
                [ 0.,  0.]]))
    """

    def __init__(self, A: Callable[[Tensor], Tensor], y: Tensor, x0: Factors) -> None:
        super().__init__(x0)
        if len(self._shapes) > 2 or {len(s) for s in self._shapes} != {2} or len({s[1] for s in self._shapes}) != 1:
            raise ValueError(f"x0 must be a matrix X or a pair (X, Y) with as many columns, got shapes "
                             f"{[tuple(s) for s in self._shapes]}")  # fmt: skip
        if y.dim() != 1 or not bool(torch.isfinite(y).all()):
            raise ValueError(f"y must be a vector of finite numbers, got shape {tuple(y.shape)}")
        self.A, self.y = A, y
        self.symmetric = len(self._shapes) == 1
        if (seen := A(torch.zeros(self.shape, dtype=y.dtype, device=y.device)).shape) != y.shape:
            raise ValueError(f"A gives {tuple(seen)} for a matrix of shape {self.shape}, but y has {tuple(y.shape)}")

    @classmethod
    def entries(cls, i: Tensor, j: Tensor, values: Tensor, x0: Factors) -> Observed:
        """Entries M[i, j] were observed; i and j are vectors of indices."""
        return cls(lambda M: M[i, j], values, x0)

    @classmethod
    def sums(cls, weights: Tensor, y: Tensor, x0: Factors) -> Observed:
        """Numbers ⟨Wᵢ, M⟩ were observed; ``weights`` is m matrices, m × rows × columns."""
        flat = weights.reshape(len(weights), -1)
        return cls(lambda M: flat @ M.reshape(-1), y, x0)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of M."""
        return self._shapes[0][0], self._shapes[-1][0]

    def factors(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """X and Y (X twice where M is X Xᵀ), as views of a flat vector."""
        leaves = self.leaves(x)
        return leaves[0], leaves[-1]

    def matrix(self, x: Tensor) -> Tensor:
        """M, dense."""
        X, Y = self.factors(x)
        return X @ Y.T

    def residual(self, x: Tensor) -> Tensor:
        """A(M) - y; counts one nfev."""
        self.counts.nfev += 1
        with torch.no_grad():
            return self.A(self.matrix(x)) - self.y

    def back(self, r: Tensor) -> Tensor:
        """The adjoint of A at r, a matrix shaped like M, symmetric where M is; counts one njev."""
        self.counts.njev += 1
        with torch.enable_grad():
            M = torch.zeros(self.shape, dtype=r.dtype, device=r.device, requires_grad=True)
            S = derivative(self.A(M) @ r, M)
        return (S + S.T) / 2 if self.symmetric else S

    def misfit(self, x: Tensor) -> float:
        """‖A(M) - y‖ relative to ‖y‖; counts one nfev."""
        r = self.residual(x)
        return float(r.norm() / self.y.norm())
