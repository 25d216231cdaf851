"""preSAM: the neighbourhood in which the worst point is sought is not a ball but what a diagonal C makes of one.

C may stretch the ball (constraint) or weigh the gradient (objective).  SAM is C = 1, ASAM stretches by the size of the
weights, infoSAM weighs by how little the gradient is to be trusted.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import ClassVar, Literal

from torch import Tensor

from steepest.core.fields import real
from steepest.core.part import NewState, Scalars
from steepest.point.perturbed import Perturbed


class PreSAM(Perturbed):
    r"""Preconditioned sharpness-aware minimization with a diagonal C > 0.

    .. math::
        \text{constraint:}\quad & \max_{\lVert C^{-1} e\rVert \le \rho} \langle g, e\rangle
            \;\Rightarrow\; e = \rho\, \frac{C^2 g}{\lVert C g\rVert} \\
        \text{objective:}\quad & \max_{\lVert e\rVert \le \rho} \langle C g, e\rangle
            \;\Rightarrow\; e = \rho\, \frac{C g}{\lVert C g\rVert}

    With C = 1, as it is here, both are SAM.  For another C write a subclass with ``precondition``.

    Args:
        rho: radius ρ, default 0.05.

    Source: Zhang, Li & Giannakis 2025, arXiv:2501.06603; the two forms are as its readers quote them, the equations
    follow from them by Cauchy-Schwarz.
    """

    cite = ("zhang2025presam",)
    #: which of the two problems C belongs to
    on: ClassVar[Literal["constraint", "objective"]] = "constraint"

    def precondition(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor | float, NewState]:
        """The diagonal of C and the new state."""
        return 1.0, {}

    def lean(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, Tensor, NewState]:
        """Where C leads."""
        c, new = self.precondition(g, x, s, h)
        return (c * (c * g) if self.on == "constraint" else c * g), c * g, new


class ASAM(PreSAM):
    r"""Adaptive SAM: the neighbourhood is measured relative to the weights, so rescaling them changes nothing.

    .. math:: q(x) = x + \rho\, \frac{T^2 g}{\lVert T g\rVert},\quad T = \operatorname{diag}(|x|) + \eta

    Args:
        rho: radius ρ relative to the weights, default 0.5 (authors' code).
        offset: η in units of x, default 0.01 (authors' code): keeps weights near zero from standing still.

    Source: Kwon et al. 2021, arXiv:2102.11600, as quoted by third parties, and the authors' code.

    Note: the authors' code leaves T = 1 where a parameter's name lacks the word "weight" (biases); here T is the
    same for all.  The authors report ρ = 2 to be best then on CIFAR-10, and 0.5 with biases left out.
    """

    rho: float = real("[0, inf)", default=0.5)
    offset: float = real("[0, inf)", default=0.01)
    cite = ("kwon2021asam",)

    def precondition(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor | float, NewState]:
        """The size of the weights."""
        return x.abs() + h.offset, {}
