"""Low-rank charts: the direction works on a thin slice of each matrix, so its state is thin too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from steepest.core.fields import part, real, whole, word
from steepest.core.part import Chart, Direction, Kept, Scalars

Projection = Literal["svd", "svd_lowrank", "random", "columns"]
OVERSAMPLING = 10  # columns drawn beyond the rank, as Halko et al. advise (section 4.2)


def basis(g: Tensor, rank: int, projection: str, seed: int) -> Tensor:
    """P for the shorter side of g: orthonormal columns, leading or random, or a random choice of rows or columns."""
    if projection == "svd_lowrank":
        return _near_leading(g, rank, seed)
    side = min(g.shape)
    if projection == "svd":
        u, _, vh = torch.linalg.svd(g, full_matrices=False)
        return (u[:, :rank] if side == g.shape[0] else vh[:rank].T).contiguous()
    generator = torch.Generator(g.device).manual_seed(seed)
    if projection == "columns":
        return torch.randperm(side, generator=generator, device=g.device)[:rank].sort().values
    normal = torch.randn(side, rank, generator=generator, device=g.device, dtype=g.dtype)
    return torch.linalg.qr(normal).Q.contiguous()


def _near_leading(g: Tensor, rank: int, seed: int) -> Tensor:
    """Nearly the leading singular vectors of g's shorter side, by a randomized range finder with two power iterations."""
    with torch.random.fork_rng(devices=[g.device] if g.is_cuda else []):  # torch.svd_lowrank takes no generator
        own = torch.cuda.default_generators[g.device.index] if g.is_cuda else torch.default_generator
        own.manual_seed(seed)  # torch.manual_seed would seed all devices
        u, _, v = torch.svd_lowrank(g, q=min(rank + OVERSAMPLING, *g.shape), niter=2)
    return (u if g.shape[0] <= g.shape[1] else v)[:, :rank].contiguous()


class Subspace(Chart):
    """What charts of a matrix's subspace share: which one it is, and the way there and back."""

    rank: int = whole("[1, inf)", default=128, kw_only=True)
    every: int = whole("[1, inf)", default=200, kw_only=True)
    projection: Projection = word(default="svd", kw_only=True)
    keeps = ("P",)

    def applies(self, x: Tensor) -> bool:
        """Matrices with both sides longer than the rank."""
        return x.dim() == 2 and min(x.shape) > self.rank

    def shape(self, x: Tensor) -> tuple[int, ...]:
        """(r, n) where rows are projected, (m, r) where columns are."""
        m, n = x.shape
        return (self.rank, n) if m <= n else (m, self.rank)

    def kept(self, x: Tensor) -> Mapping[str, Kept]:
        """P, min(m, n) x r, or the r chosen rows or columns."""
        if not self.applies(x):
            return {}
        side = min(x.shape)
        return {"P": Kept((self.rank,), side) if self.projection == "columns" else Kept((side, self.rank))}

    def refresh(self, g: Tensor, s: dict[str, Any], t: int, seed: int) -> bool:
        """New coordinates at steps 1, 1 + every, ..."""
        if "P" in s and (t - 1) % self.every:
            return False
        s["P"] = basis(g, self.rank, self.projection, 1_000_003 * seed + t)
        return True

    def pull(self, g: Tensor, s: dict[str, Any]) -> Tensor:
        """Pᵀ g or g P."""
        P, left = s["P"], g.shape[0] <= g.shape[1]
        if P.dim() == 1:
            return g[P] if left else g[:, P]
        return P.T.to(g.dtype) @ g if left else g @ P.to(g.dtype)

    def _lift(self, d: Tensor, g: Tensor, s: dict[str, Any]) -> Tensor:
        P, left = s["P"], g.shape[0] <= g.shape[1]
        if P.dim() == 1:
            return torch.zeros_like(g).index_copy_(0 if left else 1, P, d)
        return P.to(d.dtype) @ d if left else d @ P.to(d.dtype).T


class LowRank(Subspace):
    r"""GaLore: moments live in the leading singular subspace of a recent gradient.

    .. math:: \tilde g = P^\top g,\quad d = \alpha P \tilde d

    (for a matrix with no more rows than columns; otherwise g P and d̃ Pᵀ).  P holds the leading r singular vectors of
    the gradient, taken anew every ``every`` steps.  Matrices with both sides longer than r are projected, all other
    parameters pass unchanged.

    Args:
        scale: α, default 0.25 (paper).
        rank: r, default 128 (paper, smallest model).
        every: steps between refreshes, default 200 (paper).
        projection: ``"svd"`` (paper), ``"svd_lowrank"`` (nearly the same subspace at O(m n r) instead of O(m n min(m, n)),
            by :func:`torch.svd_lowrank`), ``"random"`` (orthonormal) or ``"columns"`` (a random choice of rows or
            columns of the shorter side).

    Moments are kept at a refresh as they are (paper and code).  ``"svd_lowrank"`` draws q = r + 10 columns and makes two
    power iterations: what it misses of the leading subspace falls as (σ_{q+1} / σ_r)⁵, so it needs a spectrum that decays.

    Source: Zhao et al. 2024, arXiv:2403.03507, Algorithm 2; Halko et al. 2011, arXiv:0909.4061, Algorithms 4.4 and 5.1,
    for ``"svd_lowrank"``.

    Note: the paper's rule projects a square matrix on the left, the authors' code on the right.
    """

    scale: float = real("[0, inf)", default=0.25)
    cite = ("zhao2024galore", "halko2011finding")

    def push(self, d: Tensor, g: Tensor, s: dict[str, Any], h: Scalars) -> Tensor:
        """α P d̃."""
        return self._lift(d, g, s) * h.scale


class Split(Subspace):
    r"""FRUGAL: a direction with state inside the subspace, one without state in the rest of the space.

    .. math:: d = P \tilde d(P^\top g) + \phi\, D_0(g - P P^\top g)

    Args:
        complement: D₀, a direction without state (sign, in the paper).
        rest: φ, the learning rate of the rest relative to the subspace's, default 1 (paper, pre-training; 0.1 in
            fine-tuning).
        rank: r, the dimension kept of each matrix's shorter side, default 128.
        every: steps between refreshes, default 200 (paper).
        projection: default ``"columns"``; see LowRank.

    State and bias correction start anew at a refresh, as in the authors' code.

    Source: Zmushko et al. 2024, arXiv:2411.07837, Algorithm 1.

    Note: third parties quote the paper's box as projecting the old state onto the new subspace; the authors' runs reset
    it.  Their main runs choose whole blocks of tensors, which is not a chart of one tensor.
    """

    complement: Direction = part(Direction, alias="complement")
    rest: float = real("[0, inf)", default=1.0)
    projection: Projection = word(default="columns", kw_only=True)
    cite = ("zmushko2024frugal",)
    on_refresh = "reset"

    def __post_init__(self) -> None:
        if any(part.state or part.hyper for part in self.complement.walk()):
            raise TypeError(f"Split: the complement must be a direction without state, got {self.complement!r}")

    def clock(self, t: int) -> int:
        """Steps since the last refresh."""
        return (t - 1) % self.every + 1

    def push(self, d: Tensor, g: Tensor, s: dict[str, Any], h: Scalars) -> Tensor:
        """P d̃ + φ D₀(g - P Pᵀ g)."""
        rest, _ = self.complement(g - self._lift(self.pull(g, s), g, s), g, h, h)
        return self._lift(d, g, s) + rest * h.rest
