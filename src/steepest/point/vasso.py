"""VaSSO: lean along a moving average of gradients, so that the adversary does not follow the noise of one batch."""

from __future__ import annotations

from types import SimpleNamespace

from torch import Tensor

from steepest.core.fields import real
from steepest.core.part import NewState, Scalars, State
from steepest.point.perturbed import Perturbed


class VaSSO(Perturbed):
    r"""Sharpness-aware minimization with variance suppression.

    .. math:: d_t = (1 - \theta)\, d_{t-1} + \theta\, g_t,\quad q(x) = x + \rho\, \frac{d_t}{\lVert d_t\rVert},
        \quad d_0 = g_0

    The gradient at q is of the same mini-batch.  While x moves slowly the variance of d is θ / (2 - θ) of that of g.

    Args:
        rho: radius ρ in units of x, default 0.05 (authors' code).
        theta: weight θ of the new gradient, default 0.9 (authors' code and their commands); θ = 1 is SAM.

    Source: Li & Giannakis 2023, arXiv:2309.15639, as in the authors' code; the paper itself was read in excerpts only.
    """

    theta: float = real("(0, 1]", default=0.9)
    state = {"slope": State()}  # d, in units of g
    cite = ("li2023vasso",)

    def lean(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, Tensor, NewState]:
        """Along the average."""
        d = g if h.t == 1 else s.slope * (1.0 - h.theta) + g * h.theta
        return d, d, {"slope": d}
