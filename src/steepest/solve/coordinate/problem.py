"""A quadratic over a box, maybe with a fixed sum: what is read of it are columns of its matrix."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from steepest.solve.problem import Problem, Tree


class Quadratic(Problem):
    r"""Minimize :math:`f(x) = \tfrac12 x^\top H x + c^\top x` over :math:`l \le x \le u`, maybe with a fixed :math:`\sum x`.

    Args:
        H: (d, d), symmetric, positive semidefinite; or ``H(i)``, its columns (d, len(i)) for a vector of indices.
        c: d numbers.
        x0: where to begin, d numbers in any form; inside the bounds. Its sum is the fixed one.
        lower: l, a number or d numbers; default -∞.
        upper: u, the same; default ∞.
        fixed_sum: whether the sum of x stays that of x0.
        diagonal: of H, where H is a function.

    A column counts one nhev, the whole gradient one njev.

    Raises:
        ValueError: wrong shapes, numbers that are not finite, bounds that cross, x0 outside of them, or a matrix that is not
            symmetric.
        TypeError: H is a function and there is no diagonal.

    Example:
        >>> problem = Quadratic(torch.eye(2), torch.tensor([-1.0, -3.0]), torch.zeros(2), fixed_sum=True)
        >>> problem.gradient(problem.start)
        tensor([-1., -3.])
    """

    def __init__(self, H: Tensor | Callable[[Tensor], Tensor], c: Tensor, x0: Tree, *, lower: Tensor | float = -torch.inf,
                 upper: Tensor | float = torch.inf, fixed_sum: bool = False,
                 diagonal: Tensor | None = None) -> None:  # fmt: skip
        super().__init__(x0)
        x = self.start
        if isinstance(H, Tensor):
            if H.shape != (len(x), len(x)) or not torch.allclose(
                H, H.T, rtol=1e-4 if x.dtype == torch.float32 else 1e-8
            ):
                raise ValueError(
                    f"H must be symmetric with {len(x)} rows, as x0 has numbers, got shape {tuple(H.shape)}"
                )
            diagonal = H.diagonal()
        elif diagonal is None:
            raise TypeError("where H is a function, give its diagonal= as well")
        self.H, self.fixed_sum = H, fixed_sum
        self.c, self.diagonal = (self._vector(*pair) for pair in (("c", c), ("diagonal", diagonal)))
        self.lower, self.upper = (torch.as_tensor(bound, dtype=x.dtype, device=x.device).expand_as(x).clone()
                                  for bound in (lower, upper))  # fmt: skip
        if bool((self.lower > self.upper).any()):
            k = int((self.lower > self.upper).nonzero()[0])
            raise ValueError(
                f"no x is between the bounds: at {k} lower is {self.lower[k]:g} and upper {self.upper[k]:g}"
            )
        if bool(((x < self.lower) | (x > self.upper)).any()):
            raise ValueError("x0 must lie between lower and upper")

    def _vector(self, name: str, value: Tensor) -> Tensor:
        if value.shape != self.start.shape or not bool(torch.isfinite(value).all()):
            raise ValueError(f"{name} must be {len(self.start)} finite numbers, got shape {tuple(value.shape)}")
        return value.to(self.start)

    def columns(self, i: Tensor) -> Tensor:
        """H[:, i]; counts len(i) nhev."""
        self.counts.nhev += len(i)
        return self.H[:, i] if isinstance(self.H, Tensor) else self.H(i)

    def gradient(self, x: Tensor) -> Tensor:
        """Hx + c, by the columns where x is not zero; counts one njev."""
        self.counts.njev += 1
        i = x.nonzero()[:, 0]
        Hx = self.H @ x if isinstance(self.H, Tensor) else self.H(i) @ x[i] if len(i) else torch.zeros_like(x)
        return Hx + self.c

    def objective(self, x: Tensor, g: Tensor) -> float:
        """f(x), from x and the gradient there, for nothing."""
        return float(x @ (g + self.c)) / 2

    def violation(self, x: Tensor, g: Tensor) -> float:
        r"""What is missing to optimality, for nothing.

        With a fixed sum, :math:`\max_{x_i > l_i} g_i - \min_{x_j < u_j} g_j`, at least 0; without, the largest |g| of a
        coordinate that may move against it.
        """
        down, up = g[x > self.lower], g[x < self.upper]
        if self.fixed_sum:
            return max(0.0, float(down.max() - up.min())) if len(down) and len(up) else 0.0
        return max([0.0, *(float(t.max()) for t in (down, -up) if len(t))])


def svm_dual(
    K: Tensor | Callable[[Tensor], Tensor], y: Tensor, C: float = 1.0, *, diagonal: Tensor | None = None
) -> Quadratic:
    r"""The dual of the support vector machine with a bias, in :math:`x_i = y_i\alpha_i`, whose sum is fixed at 0.

    .. math:: \min_x \tfrac12 x^\top K x - y^\top x,\qquad \sum x = 0,\quad 0 \le y_i x_i \le C

    Args:
        K: kernel matrix (n, n), or a function that returns columns of it.
        y: n labels, 1 and -1.
        C: the bound.
        diagonal: of K, where K is a function.

    Raises:
        ValueError: labels other than 1 and -1, or C that is not positive.
    """
    if not bool((y.abs() == 1).all()):
        raise ValueError(f"labels must be 1 and -1, got {y[y.abs() != 1][0]:g}")
    if not C > 0:
        raise ValueError(f"C must be positive, got {C}")
    y = y.to(K if isinstance(K, Tensor) else diagonal if diagonal is not None else y)
    return Quadratic(K, -y, torch.zeros_like(y), lower=(C * y).clamp(max=0), upper=(C * y).clamp(min=0), fixed_sum=True,
                     diagonal=diagonal)  # fmt: skip
