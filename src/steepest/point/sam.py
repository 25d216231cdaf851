"""SAM: evaluate the gradient where the loss is worst nearby, and apply it here."""

from __future__ import annotations

from types import SimpleNamespace

from torch import Tensor

from steepest.core.part import NewState, Scalars
from steepest.point.perturbed import Perturbed


class SAM(Perturbed):
    r"""Sharpness-aware minimization.

    .. math:: q(x) = x + \rho\, \frac{g}{\lVert g\rVert},\quad \text{the norm over all parameters}

    Costs two forwards and two backwards a step.  The perturbation is undone to the bit, also when the closure raises.

    Args:
        rho: radius ρ in units of x, default 0.05 (paper); each group may have its own.

    Source: Foret et al. 2021, arXiv:2010.01412, Algorithm 1.

    Note: where the gradient is zero there is no perturbation; the authors' code gives NaN there.
    """

    cite = ("foret2021sam",)

    def lean(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, Tensor, NewState]:
        """Along the gradient."""
        return g, g, {}
