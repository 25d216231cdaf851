"""Limited-memory BFGS: the product of an inverse Hessian with a vector, from the last moves and changes of the gradient."""

from __future__ import annotations

import math

from torch import Tensor

Pair = tuple[list[Tensor], list[Tensor], float]  # s, y and sᵀy


def dots(a: list[Tensor], b: list[Tensor]) -> float:
    """The inner product of two lists, in float64."""
    return float(sum((u.double() * v.double()).sum() for u, v in zip(a, b, strict=True)))


def useful(s: list[Tensor], y: list[Tensor]) -> bool:
    """Whether f bends upwards along a move s that changed the gradient by y: sᵀy > 1e-10 ‖s‖ ‖y‖."""
    return dots(s, y) > 1e-10 * math.sqrt(dots(s, s) * dots(y, y))


def two_loop(pairs: list[Pair], g: list[Tensor]) -> list[Tensor]:
    r"""H g, with H the BFGS matrix of the pairs, begun with :math:`(s^\top y / y^\top y) I` of the last.

    Args:
        pairs: (s, y, sᵀy), the oldest first, sᵀy > 0.
        g: a vector, as a list of tensors.

    Source: Nocedal 1980; Nocedal & Wright 2006, Algorithm 7.4 and equation 7.20.
    """
    q, alphas = list(g), []
    for s, y, sy in reversed(pairs):
        a = dots(s, q) / sy
        q = [u - a * v for u, v in zip(q, y, strict=True)]
        alphas.append(a)
    if pairs:
        s, y, sy = pairs[-1]
        q = [u * (sy / dots(y, y)) for u in q]
    for (s, y, sy), a in zip(pairs, reversed(alphas), strict=True):
        b = dots(y, q) / sy
        q = [u + (a - b) * v for u, v in zip(q, s, strict=True)]
    return q
