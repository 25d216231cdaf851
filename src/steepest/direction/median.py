"""SMGD: follow the median of the gradients seen so far, which one far outlier does not move."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.fields import real
from steepest.core.part import Direction, NewState, Scalars, State


class ComponentMedian(Direction):
    r"""An estimate of the componentwise median of gradients, by stochastic proximal point steps on E‖m - g‖₁.

    .. math:: m \leftarrow m + \operatorname{clip}(g - m, -\tau, \tau),\quad d = m

    Args:
        tau: τ in units of g, default 0.1 (ours); how far one gradient moves each component.

    Source: Schaipp, Garrigos, Şimşekli & Gower 2024, arXiv:2402.12828, the section on the ℓ₁ norm (numbering not at hand).
    """

    tau: float = real("(0, inf)", default=0.1)
    state = {"m": State()}
    cite = ("schaipp2024sgd",)

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        m = s.m + torch.clamp(g - s.m, -h.tau, h.tau)
        return m, {"m": m}


class GeometricMedian(Direction):
    r"""An estimate of the geometric median of gradients, by stochastic proximal point steps on E‖m - g‖₂.

    .. math:: m \leftarrow m + \min\Bigl(1, \frac{\tau}{\lVert g - m\rVert_2}\Bigr)(g - m),\quad d = m

    with the norm over all tensors, which ``stepsize.MedianGap`` measures.

    Args:
        tau: τ in units of g, default 0.1 (ours); how far one gradient moves m.

    Source: Schaipp, Garrigos, Şimşekli & Gower 2024, arXiv:2402.12828, the section on the ℓ₂ norm (numbering not at hand).

    Note: with m set to 0 before each step it is gradient clipping.
    """

    tau: float = real("(0, inf)", default=0.1)
    state = {"m": State()}
    needs = frozenset({"distance to the median"})
    cite = ("schaipp2024sgd",)

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        m = s.m + (g - s.m) * (h.tau / torch.clamp(h.median_gap + g * 0.0, min=h.tau))
        return m, {"m": m}
