"""MARS: correct the gradient by its change since the last step, then give it to any direction with a momentum."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.fields import flag, real
from steepest.core.part import Around, NewState, Scalars, State
from steepest.core.rule import total


class Mars(Around):
    r"""Variance reduction by a scaled difference of consecutive gradients (the approximate variant).

    .. math:: c = g + \gamma \frac{\beta_1}{1-\beta_1} (g - g_{-}),\quad c \leftarrow c / \max(1, \lVert c\rVert)

    and the inner direction works on c.  At the first step g₋ = g, so c = g.

    Args:
        inner: a direction with ``beta1`` (Adam, Lion).
        gamma: γ, default 0.025 (paper).
        clip: the norm clip, per tensor, default True (paper).

    Source: Yuan et al. 2024, arXiv:2411.10438, Algorithms 1 and 2 with the approximation g₋ = last step's gradient.

    Note: the authors' code starts from g₋ = 0, which multiplies the first gradient by 1.475, and applies MARS to
    matrices only.  Its second moment, like ours, is of c; the README's formula has g.
    """

    gamma: float = real("[0, inf)", default=0.025)
    clip: bool = flag(default=True)
    state = {"g_prev": State()}
    needs = frozenset({"beta1"})
    cite = ("yuan2024mars",)

    def scalars(self, t: int, h: Scalars) -> dict[str, float]:
        """The weight of the difference; none at the first step, where there is no gradient before."""
        return {"boost": 0.0 if t == 1 else h.gamma * h.beta1 / (1 - h.beta1)}

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map, with two sums over the tensor."""
        c = g + (g - s.g_prev) * h.boost
        if self.clip:
            scale = torch.clamp(total(c.abs()), min=1.0)  # squares of the whole may overflow
            c = c / torch.clamp(scale * torch.sqrt(total((c / scale) * (c / scale))), min=1.0)
        d, new = self.apply_inner(c, x, s, h)
        return d, new | {"g_prev": g}
