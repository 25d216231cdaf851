"""PSGD: a preconditioner that is fitted to whiten gradients, moving on the group of triangular matrices."""

from __future__ import annotations

from functools import partial
from math import prod
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from steepest.core.fields import real, whole
from steepest.core.matrix import as_matrices, bound
from steepest.core.part import Direction, NewState, Scalars, State
from steepest.core.rule import total


def kept(which: int, dense: bool, most: int, skew: int, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape of the left (0) or right (1) factor if it is of this kind; None if it is of the other, or none."""
    if which and len(shape) < 2:
        return None
    n = (shape[0] if shape else 1, prod(shape[1:]))[which]
    full = 1 < n <= most and n * n <= skew * prod(shape)
    return ((n, n) if full else (n,)) if full is dense else None


def times(Q: Tensor, a: Tensor) -> Tensor:
    """Q A, for b x n x n or the diagonal b x n."""
    return Q @ a if Q.dim() == 3 else Q[..., None] * a


def gram(a: Tensor, Q: Tensor) -> Tensor:
    """A Aᵀ, or its diagonal where Q is one."""
    return a @ a.mT if Q.dim() == 3 else (a * a).sum(-1)


def sides(Q: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Q Qᵀ and (Q Qᵀ)⁻¹ for an upper triangular or a diagonal Q, and their traces, b x 1 x 1 (b x 1)."""
    if Q.dim() == 3:
        eye = torch.eye(Q.shape[-1], dtype=Q.dtype, device=Q.device)
        inverse = torch.linalg.solve_triangular(Q, eye.expand_as(Q), upper=True)
        both = Q @ Q.mT, inverse.mT @ inverse
    else:
        inverse, both = 1 / Q, (Q * Q, 1 / (Q * Q))
    return *both, (Q * Q).flatten(1).sum(1), (inverse * inverse).flatten(1).sum(1)


def moved(Q: Tensor, plus: Tensor, minus: Tensor, rate: float | Tensor) -> Tensor:
    """Q - μ triu(S₊ - S₋) Q / ‖S₊ + S₋‖."""
    if Q.dim() == 3:
        return Q - torch.triu(plus - minus) @ Q * (rate / bound(plus + minus))
    return Q * (1 - (plus - minus) * (rate / (plus + minus).amax(-1, keepdim=True)))


def fitted(
    G: Tensor, left: Tensor, right: Tensor | None, rate: float | Tensor, damping: float | Tensor
) -> tuple[Tensor, Tensor | None]:
    """The factors after a step; scale is shared between them, which leaves their product as it is."""

    def wide(t: Tensor, like: Tensor) -> Tensor:
        return t.view(-1, *[1] * (like.dim() - 1))

    A = times(left, G)
    up, down, size, thin = sides(left)
    noise = damping * damping
    if right is None:
        return moved(left, gram(A, left) + up * noise, down, rate), None
    A = times(right, A.mT).mT
    up_, down_, size_, thin_ = sides(right)
    one = moved(left, gram(A, left) + up * wide(size_ * noise, left), down * wide(thin_, left), rate)
    two = moved(right, gram(A.mT, right) + up_ * wide(size * noise, right), down_ * wide(thin, right), rate)
    tops = [Q.abs().flatten(1).amax(1) for Q in (one, two)]
    mean = torch.sqrt(tops[0]) * torch.sqrt(tops[1])
    return one * wide(mean / tops[0], one), two * wide(mean / tops[1], two)


def factor(s: SimpleNamespace, n: str) -> Any:
    """A factor of Q: a matrix, the numbers of a diagonal one, or None where there is none."""
    return torch.exp(getattr(s, f"log_{n}")) if hasattr(s, f"log_{n}") else getattr(s, n, None)


class PSGD(Direction):
    r"""Gradients whitened by P = QᵀQ with Q a Kronecker product of triangular factors.

    .. math:: A &= Q_l G Q_r^\top,\quad S_+ = A A^\top + \lambda^2 \operatorname{tr}(Q_r Q_r^\top)\, Q_l Q_l^\top,\quad
              S_- = \operatorname{tr}\bigl((Q_r Q_r^\top)^{-1}\bigr)\, (Q_l Q_l^\top)^{-1} \\
              Q_l &\leftarrow Q_l - \mu\, \frac{\operatorname{triu}(S_+ - S_-)}{\lVert S_+ + S_- \rVert}\, Q_l,\quad
              m \leftarrow \beta m + (1-\beta) G,\quad d = Q_l^\top Q_l\, m\, Q_r^\top Q_r

    likewise :math:`Q_r` with Aᵀ, from the Q before the step: a step down
    :math:`\mathbb E[g^\top P g + v^\top P^{-1} v]` on the group, with v ~ N(0, I) integrated out and g + λv in the place of
    g.  The minimum is :math:`P = (\mathbb E\, g g^\top)^{-1/2}`, so that d has a root mean square near 1; one above ``clip``
    is cut to it.

    Args:
        momentum: β, default 0.9; in the first steps (t - 1)/t if that is less (author's code).
        rate: μ, default 0.1 (author's code).
        damping: λ, in units of g, default 1e-9 (author's code): P stays below 1/λ.
        clip: the largest root mean square of d, default 2 (author's code).
        every: steps between two updates of Q, default 1.
        max_dim: a longer side has a diagonal factor, default 8192.
        max_skew: so has one whose square is more than this times the elements of the tensor, default 1 (author's code): the
            longer side of a matrix that is not square, and vectors.

    At the first step :math:`Q = (\operatorname{mean} g^4 + \lambda^4)^{-1/8} I`.  A tensor is a matrix of its first dimension
    by the rest.  Factors are kept in full precision under every codec; diagonal ones as logarithms.

    Source: Li 2015, arXiv:1512.04202 (criterion and triangular group) and 2024, arXiv:2402.11858 (whitening, the group's
    step); the Kronecker form and the defaults are those of the author's code for dQ = EQ.

    Note: the author's code draws v anew in each step and solves with it, where this has the expected value and draws nothing;
    the norm is a lower bound from random starts, and its running maximum, where this has an upper bound (the lesser of the
    Frobenius and the maximal row norm); it clips elements above 10, too, and its newer default is another group.
    """

    momentum: float = real("[0, 1)", default=0.9)
    rate: float = real("(0, 1)", default=0.1)
    damping: float = real("(0, inf)", default=1e-9)
    clip: float = real("(0, inf)", default=2.0)
    every: int = whole("[1, inf)", default=1)
    max_dim: int = whole("[0, inf)", default=8192)
    max_skew: int = whole("[0, inf)", default=1)
    pointwise, batched = False, True
    cite = ("li2015psgd", "li2024hessian")

    def __post_init__(self) -> None:
        """Say what is kept."""
        found = {"m": State()}
        for which, name in enumerate(("Ql", "Qr")):
            square, line = (partial(kept, which, dense, self.max_dim, self.max_skew) for dense in (True, False))
            found |= {name: State("eye", shape=square, exact=True), f"log_{name}": State(shape=line, exact=True)}
        self.declare(found)

    def scalars(self, t: int, h: Scalars) -> dict[str, float]:
        """The weight of the past, and whether Q is begun or due."""
        return {"past": min((t - 1) / t, h.momentum), "first": t == 1, "due": (t - 1) % self.every == 0}

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map, on tensors of equal shape, b x shape."""
        if not g.numel():
            return g, {}
        m = s.m * h.past + g * (1 - h.past)
        G = as_matrices(g)
        left, right = (factor(s, n) for n in ("Ql", "Qr"))
        if h.first:
            scale = ((G.double() ** 4).mean((1, 2)) + h.damping**4) ** (-1 / 8)  # fourth powers leave float32
            left = left * scale.to(left.dtype).view(-1, *[1] * (left.dim() - 1))
        if h.due:
            left, right = fitted(G, left, right, h.rate, h.damping)
        d, new = as_matrices(m), {"m": m}
        for n, Q in (("Ql", left), ("Qr", right)):
            if Q is not None:
                new |= {n: Q} if Q.dim() == 3 else {f"log_{n}": torch.log(Q)}
                d = times(Q.mT if Q.dim() == 3 else Q, times(Q, d if n == "Ql" else d.mT))
                d = d if n == "Ql" else d.mT
        d = d.reshape(g.shape)
        size = torch.sqrt(total(d * d) / max(d[0].numel(), 1))
        return d * torch.clamp(h.clip / torch.where(size > 0, size, 1.0), max=1.0), new
