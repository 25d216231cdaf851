"""FSAM: lean only with the weights that matter most, by the diagonal of the Fisher information."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

from torch import Tensor

from steepest.core.fields import real, whole
from steepest.core.part import NewState, Scalars, State
from steepest.core.step import Run
from steepest.point.perturbed import Parts, Perturbed, with_groups

HALVINGS = 64  # of an interval of float32 numbers, which have 31 bits besides the sign; float64 keeps ties below 1e-19


def threshold(run: Run, sizes: Parts, keep: int) -> float:
    """The number that just so many sizes exceed, over all tensors and machines; NaN if none can be found."""
    low, high = 0.0, math.sqrt(run.dot(sizes, sizes))
    if not 0.0 < high < math.inf:
        return math.nan
    for _ in range(HALVINGS):
        cut = (low + high) / 2
        above = [None if a is None else (a > cut).double() for a in sizes]
        count = run.dot(above, above)
        low, high = (cut, high) if count >= keep else (low, cut)
        if count == keep:
            break
    return low


class FSAM(Perturbed):
    r"""Sharpness-aware minimization with a Fisher mask.

    .. math:: q(x) = x + \rho\, \frac{g}{\lVert g\rVert} \odot m,\quad
        m_i = 1 \text{ for the } (1 - s)\,n \text{ largest } \hat F_i = g_i^2,\ 0 \text{ else}

    The mask is renewed every T steps from the gradient that is there anyway, and compares the weights of all groups with
    the same sparsity.

    Args:
        rho: radius ρ in units of x before masking, default 0.05 (authors' code).
        sparsity: s, the part of the weights that is not perturbed, default 0.9 (authors' code keeps 0.1).
        every: T, default 100 (authors' code).

    Source: Zhong et al. 2022, arXiv:2210.05497, as in the authors' code; the paper itself was read in excerpts only.

    Note: F is the square of the mini-batch's gradient, as in the authors' code; the paper's empirical Fisher is a mean
    of squares over samples.  Their code perturbs biases, embeddings and norms without a mask: give those a group with
    ``sparsity=0``.  Weights without any gradient are never in the mask, and equal ones at its edge are all in.
    """

    sparsity: float = real("[0, 1)", default=0.9)
    every: int = whole("[1, inf)", default=100)
    state = {"still": State(signed=False)}  # 1 - m, so that nothing is masked before the first mask
    cite = ("zhong2022fsam",)

    def shared(self, run: Run, group: dict[str, Any], g: Parts) -> dict[str, float]:
        """The size of gradient that the mask cuts at; NaN where the mask stays as it is, negative where there is none."""
        s = run.h("sparsity", group)
        peers = [gi if run.h("sparsity", own) == s else None for gi, (_, own) in zip(g, with_groups(run), strict=True)]
        mine = [p for p, gi in zip(run.params, peers, strict=True) if gi is not None]
        ages = [run.opt.state.get(p, {}).get("step", 0) for p in mine]
        if s == 0.0 or not ages or min(ages) % self.every:
            return {"cut": math.nan if s else -1.0}
        n = sum(p.numel() for p in mine)
        return {"cut": threshold(run, [None if gi is None else gi.abs().double() for gi in peers], n - round(n * s))}

    def lean(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, Tensor, NewState]:
        """Along the gradient, where the mask is."""
        still = s.still if math.isnan(h.cut) else (g.abs().double() <= h.cut).to(g)
        return g * (1.0 - still), g, {"still": still}
