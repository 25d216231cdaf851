"""Conjugate gradients: solve H x = b with products with H alone, or find a direction in which H bends down."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def conjugate_gradient(product: Callable[[Tensor], Tensor], b: Tensor, tolerance: float = 1e-5,
                       most: int | None = None) -> tuple[Tensor, int]:  # fmt: skip
    r"""Solve H x = b from x = 0, with H symmetric.

    .. math:: \alpha = \frac{r^\top r}{p^\top H p},\quad x \mathrel{+}= \alpha p,\quad r \mathrel{-}= \alpha H p,\quad
              p = r + \frac{r_+^\top r_+}{r^\top r} p

    Stops at the first direction with pᵀHp ≤ 0: x is then what was found before it, or b if it is the first.

    Args:
        product: v -> H v.
        b: right-hand side, a vector.
        tolerance: stop when ‖r‖ ≤ tolerance ‖b‖; default 1e-5.
        most: products; default twice the length of b.

    Returns:
        x and how many products were made. Along x, bᵀx ≥ 0: for b = -∇f, x is a descent direction.

    Source: Hestenes & Stiefel 1952; the stop at negative curvature as in Nocedal & Wright 2006, Algorithm 7.1.

    Example:
        >>> H = torch.tensor([[2.0, 0.0], [0.0, 4.0]])
        >>> conjugate_gradient(lambda v: H @ v, torch.tensor([2.0, 8.0]))[0]
        tensor([1., 2.])
    """
    x, r = torch.zeros_like(b), b
    p, rr, products = r, float(b @ b), 0
    goal = tolerance * tolerance * rr
    for _ in range(2 * len(b) if most is None else most):
        if not rr > goal:
            break
        Hp = product(p)
        products += 1
        curvature = float(p @ Hp)
        if not curvature > 0:
            return (x if products > 1 else b), products
        x, r = x + p * (rr / curvature), r - Hp * (rr / curvature)
        rr, before = float(r @ r), rr
        p = r + p * (rr / before)
    return x, products
