"""Two classes to be separated by a hyperplane, given by rows and labels."""

from __future__ import annotations

import torch
from torch import Tensor

from steepest.solve.problem import Problem


class Margins(Problem):
    r"""Find θ with :math:`y_i a_i^\top \theta > 0` for every row.

    Args:
        A: rows a, n by d.
        y: labels, 1 or -1.
        x0: θ to begin with, default 0.

    Raises:
        ValueError: A is no finite table of floating-point numbers, or y are no labels.
    """

    def __init__(self, A: Tensor, y: Tensor, x0: Tensor | None = None) -> None:
        if A.dim() != 2 or not A.is_floating_point() or not len(A):
            raise ValueError(f"A must be a table of floating-point numbers, one row a sample, got {A.dtype} of shape "
                             f"{tuple(A.shape)}")  # fmt: skip
        if y.shape != A.shape[:1] or not bool((y.abs() == 1).all()):
            raise ValueError(f"y must have {len(A)} labels, each 1 or -1, got shape {tuple(y.shape)} with values "
                             f"{sorted(set(y.flatten().tolist()))[:4]}: for labels 0 and 1 give 2 * y - 1")  # fmt: skip
        if not bool(torch.isfinite(A).all()):
            raise ValueError("A has entries that are not finite")
        if x0 is not None and x0.shape != A.shape[1:]:
            raise ValueError(f"x0 must be a vector of {A.shape[1]} numbers, got shape {tuple(x0.shape)}")
        self.rows = A * y.to(A.dtype)[:, None]
        super().__init__(torch.zeros_like(self.rows[0]) if x0 is None else x0.to(self.rows))

    def margins(self, x: Tensor) -> Tensor:
        """yᵢ aᵢᵀθ of all rows; counts one nfev."""
        self.counts.nfev += 1
        return self.rows @ x

    def combine(self, weights: Tensor) -> Tensor:
        """The sum of yᵢ aᵢ by weights; counts one njev."""
        self.counts.njev += 1
        return weights @ self.rows
