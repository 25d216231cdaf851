"""SOAP: Adam, in the coordinates in which Shampoo's factors are diagonal."""

from __future__ import annotations

from functools import partial
from math import prod
from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.fields import real, whole
from steepest.core.matrix import as_matrices, eigenvectors, power_step
from steepest.core.part import Direction, NewState, Scalars, State


def side(which: int, most: int, shape: tuple[int, ...]) -> tuple[int, int] | None:
    """The shape of the left (0) or right (1) factor of a matrix; vectors and longer sides have none."""
    n = (shape[0], prod(shape[1:]))[which] if len(shape) > 1 else most + 1
    return (n, n) if n <= most else None


class SOAP(Direction):
    r"""Adam in the eigenbasis of Shampoo's factors.

    .. math:: G' &= Q_L^\top G\, Q_R,\quad M \leftarrow \beta_1 M + (1-\beta_1) G,\quad M' = Q_L^\top M\, Q_R,\quad
              V \leftarrow \beta_2 V + (1-\beta_2)\, G' \circ G' \\
              d &= Q_L \frac{\hat M'}{\sqrt{\hat V} + \epsilon} Q_R^\top,\quad L \leftarrow \beta L + (1-\beta) G G^\top,\quad
              R \leftarrow \beta R + (1-\beta) G^\top G

    and then, at every ``every``-th step, Q ← the orthonormal factor of L Q (R Q), a step of orthogonal iteration.  The first
    gradient makes the factors and, by eigenvalues, Q; nothing moves, and no moment sees it, so that no gradient is looked at
    in a basis that it has made itself.  Corrections 1/(1 - β^(t-1)) as Adam's.

    Args:
        beta1: β₁, default 0.95 (paper).
        beta2: β₂, default 0.95 (paper).
        factor_beta: β, default 0.95 (paper).
        eps: ε, in units of g, default 1e-8 (paper).
        every: steps between two new bases, default 10 (paper).
        max_dim: the longest side that has a factor, default 10,000 (authors' code); others keep their coordinates, so that
            an embedding is one-sided and a matrix with two long sides gets Adam.

    A tensor is a matrix of its first dimension by the rest; vectors and numbers get Adam.  A basis stays as it was where a
    factor has NaN in it.  Factors are kept in full precision under every codec.

    Source: Vyas et al. 2024, arXiv:2409.11321, Algorithms 3 and 4, which leave out the beginning and the corrections: both
    are those of the authors' code, as is ε outside of the root.

    Note: at a new basis the authors' code sorts columns, and V with them, by estimated eigenvalues, which permutes coordinates
    and the order of orthogonalisation; it has one β₂ for V and factors by default, and a factor for each dimension of
    longer tensors.  V is not rotated when Q changes, in the paper and here.
    """

    beta1: float = real("[0, 1)", default=0.95)
    beta2: float = real("[0, 1)", default=0.95)
    factor_beta: float = real("[0, 1)", default=0.95)
    eps: float = real("[0, inf)", default=1e-8)
    every: int = whole("[1, inf)", default=10)
    max_dim: int = whole("[0, inf)", default=10_000)
    pointwise, batched = False, True
    cite = ("vyas2024soap",)

    def __post_init__(self) -> None:
        """Say what is kept."""
        kept = {"m": State(), "v": State(signed=False)}
        for which, name in enumerate("LR"):
            shape = partial(side, which, self.max_dim)
            kept |= {name: State(shape=shape, exact=True), f"Q{name}": State("eye", shape=shape)}
        self.declare(kept)

    def scalars(self, t: int, h: Scalars) -> dict[str, float]:
        """Corrections for the steps after the first, and whether a new basis is due."""
        n = max(t - 1, 1)
        return {"c1": 1 / (1 - h.beta1**n), "c2": (1 - h.beta2**n) ** -0.5, "first": t == 1, "due": n % self.every == 0}

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map, on tensors of equal shape, b x shape."""
        G, bases = as_matrices(g), [getattr(s, f"Q{name}", None) for name in "LR"]
        new: NewState = {}
        for name, Q in zip("LR", bases, strict=True):
            if Q is not None:  # a long side must not meet itself
                gram = G @ G.mT if name == "L" else G.mT @ G
                A = getattr(s, name) * h.factor_beta + gram * (1 - h.factor_beta)
                new |= {name: A, f"Q{name}": eigenvectors(A) if h.first else power_step(A, Q) if h.due else Q}
        if h.first:
            return torch.zeros_like(g), new | {"m": s.m, "v": s.v}
        m = s.m * h.beta1 + g * (1 - h.beta1)
        seen, mean = (rotated(as_matrices(t), bases).reshape(g.shape) for t in (g, m))
        v = s.v * h.beta2 + seen * seen * (1 - h.beta2)
        d = as_matrices(mean * h.c1 / (torch.sqrt(v) * h.c2 + h.eps))
        return rotated(d, [None if q is None else q.mT for q in bases]).reshape(g.shape), new | {"m": m, "v": v}


def rotated(a: Tensor, bases: list[Tensor | None]) -> Tensor:
    """Qₗᵀ A Qᵣ, without those that are not there."""
    left, right = bases
    a = a if left is None else left.mT @ a
    return a if right is None else a @ right
