"""Shampoo: multiply each side of a gradient by an inverse root of the second moment of its rows, or columns."""

from __future__ import annotations

from functools import partial
from math import prod
from sys import maxsize
from types import SimpleNamespace
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import pad

from steepest.core.fields import real, whole, word
from steepest.core.matrix import as_matrices, inverse_root, inverse_root_eigh
from steepest.core.norms import norm
from steepest.core.part import Direction, NewState, Scalars, State, scalar


def grid(n: int, block: int) -> tuple[int, int]:
    """How many blocks a side of n is cut into, and how long each is: at most ``block``, and as equal as can be."""
    count = max(1, -(-n // block))
    return count, -(-n // count)


def tiles(a: Tensor, block: int) -> Tensor:
    """b x rows x columns as b x blocks x block rows x block columns; zeros where the last block has less."""
    (down, m), (across, n) = (grid(size, block) for size in a.shape[-2:])
    a = pad(a, (0, across * n - a.shape[-1], 0, down * m - a.shape[-2]))
    return a.reshape(len(a), down, m, across, n).transpose(2, 3).reshape(len(a), down * across, m, n)


def untiled(a: Tensor, like: Tensor, block: int) -> Tensor:
    """The matrices, b x rows x columns as another's, of which these are the tiles."""
    b, rows, columns = like.shape
    (down, m), (across, n) = grid(rows, block), grid(columns, block)
    return a.reshape(b, down, across, m, n).transpose(2, 3).reshape(b, down * m, across * n)[:, :rows, :columns]


def factor(side: int, block: int, most: int, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape of the left (0) or right (1) factors of all blocks; None where there are none."""
    sizes = shape[0] if shape else 1, prod(shape[1:])
    if (side and len(shape) < 2) or sizes[side] > most:
        return None
    cut = [grid(size, block) for size in sizes]
    return cut[0][0] * cut[1][0], cut[side][1], cut[side][1]


def kept(cut: int, most: int, squares: bool) -> dict[str, State]:
    """What is kept of a tensor."""
    shapes = {name: partial(factor, side, cut, most) for side, name in enumerate("LR")}
    state = {"m": State(), "failed_roots": State(shape=scalar, exact=True)}
    state |= {"v": State(signed=False)} if squares else {}
    state |= {name: State(shape=shape, exact=True) for name, shape in shapes.items()}
    return state | {f"{name}_root": State("eye", shape=shape) for name, shape in shapes.items()}


def renewed(A: Tensor, last: Tensor, p: int, ridge: float, roots: str) -> tuple[Tensor, Tensor]:
    """Inverse roots, the last ones where that fails, and how many failed of each tensor's blocks that have had a gradient."""
    found = (inverse_root if roots == "newton" else inverse_root_eigh)(A, p, ridge, last)
    return found.value, (found.failed & (A != 0).any(-1).any(-1)).sum(-1)


def resized(d: Tensor, like: Tensor) -> Tensor:
    """Each d as long as another tensor."""
    size = norm(d)
    return d * (norm(like) / torch.where(size > 0, size, 1.0))


class Shampoo(Direction):
    r"""A second moment for each side of a matrix, and the step of its inverse roots with the length of Adam's.

    .. math:: m &\leftarrow \beta_1 m + (1-\beta_1) G,\quad L \leftarrow \beta_2 L + (1-\beta_2) G G^\top,\quad
              R \leftarrow \beta_2 R + (1-\beta_2) G^\top G \\
              P &= (\hat L + \delta_L I)^{-1/p}\, \hat m\, (\hat R + \delta_R I)^{-1/p},\quad
              d = \frac{\lVert a \rVert}{\lVert P \rVert} P,\quad a = \frac{\hat m}{\sqrt{\hat v} + \epsilon}

    with :math:`\hat m = m / (1-\beta_1^t)`, likewise L, R and :math:`v \leftarrow \beta_2 v + (1-\beta_2) G^2`, and p twice
    the number of factors: 4 for matrices; 2 for vectors and where one side has none.  With β₂ = 1 the moments are sums, and
    1 takes the place of 1 - β₂ and of the corrections.  Before the first roots, at step ``every``, d = a.

    Args:
        beta1: β₁, default 0.9 (Shi et al.); Gupta et al. have the gradient itself, 0.
        beta2: β₂, default 0.999 (Shi et al.); sums, 1, in Gupta et al.
        ridge: δ_A = ridge times a bound of the largest eigenvalue of A, default 1e-6 (Anil et al.).
        eps: ε, in units of g, default 1e-8 (Adam).
        every: steps between two computations of the roots, default 10; authors have 1 to some thousands.
        block: the longest side of a factor, default 1024 (Shi et al.'s code).
        large: what to do with a longer side: ``"blocks"`` (Shi et al.) cuts the matrix into blocks of equal sides, ``"skip"``
            leaves its factor out (one-sided; a where both are).
        graft: ``"adam"``, AdaGrad where β₂ = 1; ``"sgd"``, the length of m̂; ``"none"``, that of P.
        root: p; default 0, as above.
        roots: ``"newton"`` or ``"eigh"``, slower; see :func:`steepest.core.matrix.inverse_root`.

    A root that fails (NaN in a factor, an eigenvalue below -δ) leaves the last good one there; ``opt.metrics()`` has the
    number of those as ``failed_roots``, ``opt.state[p]["failed_roots"]`` that of a tensor.  Factors are kept in full
    precision under every codec.  A tensor is a matrix of its first dimension by the rest, a vector a column without R.

    Source: Gupta, Koren & Singer 2018, arXiv:1802.09568, Algorithm 1; Anil et al. 2020, arXiv:2002.09018, for grafting, ridge
    and one-sided factors; Shi et al. 2023, arXiv:2309.06497, Algorithm 2, for averages, corrections and blocks.

    Note: Gupta et al. begin with L = R = εI in place of a ridge, and have a factor for each dimension of longer tensors;
    Shi et al. add a constant ε = 1e-12, cut full blocks from the front, and their code grafts each block for itself.
    """

    beta1: float = real("[0, 1)", default=0.9)
    beta2: float = real("[0, 1]", default=0.999)
    ridge: float = real("(0, 1)", default=1e-6)
    eps: float = real("[0, inf)", default=1e-8)
    every: int = whole("[1, inf)", default=10)
    block: int = whole("[1, inf)", default=1024)
    large: Literal["blocks", "skip"] = word(default="blocks")
    graft: Literal["adam", "sgd", "none"] = word(default="adam")
    root: int = whole("[0, 64]", default=0)
    roots: Literal["newton", "eigh"] = word(default="newton")
    pointwise, batched = False, True
    cite = ("gupta2018shampoo", "anil2020scalable", "shi2023distributed")
    counts = ("failed_roots",)

    def __post_init__(self) -> None:
        """Say what is kept."""
        self.cut, most = (self.block, maxsize) if self.large == "blocks" else (maxsize, self.block)
        self.declare(kept(self.cut, most, self.graft == "adam"))

    def scalars(self, t: int, h: Scalars) -> dict[str, float]:
        """Corrections, the weight of what is new in a second moment, and whether roots are due."""
        fresh, c2 = (1.0, 1.0) if h.beta2 == 1 else (1 - h.beta2, 1 / (1 - h.beta2**t))
        return {"c1": 1 / (1 - h.beta1**t), "c2": c2, "fresh": fresh, "due": t % self.every == 0}

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map, on tensors of equal shape, b x shape."""
        m = s.m * h.beta1 + g * (1 - h.beta1)
        a, new = m * h.c1, {"m": m, "failed_roots": s.failed_roots}
        G, P = (tiles(as_matrices(t), self.cut) for t in (g, a))
        if self.graft == "adam":
            new["v"] = s.v * h.beta2 + g * g * h.fresh
            a = a / (torch.sqrt(new["v"] * h.c2) + h.eps)
        sides = [name for name in "LR" if hasattr(s, name)]
        for name in sides:
            A = getattr(s, name) * h.beta2 + (G @ G.mT if name == "L" else G.mT @ G) * h.fresh
            root = getattr(s, f"{name}_root")
            if h.due:
                root, failed = renewed(A * h.c2, root, self.root or 2 * len(sides), h.ridge, self.roots)
                new["failed_roots"] = new["failed_roots"] + failed
            new |= {name: A, f"{name}_root": root}
            P = root @ P if name == "L" else P @ root
        if not sides or h.t < self.every:
            return a, new
        d = untiled(P, as_matrices(g), self.cut).reshape(g.shape)
        return d if self.graft == "none" else resized(d, a), new
