"""The step size of OASIS: how far a diagonal can be trusted, from the last move and the gradients at its ends."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import SimpleNamespace

from torch import Tensor

from steepest.core.fields import real
from steepest.core.part import NewState, Scalars, State, StepSize


class OASIS(StepSize):
    r"""A step size from a local Lipschitz constant in the norm of the preconditioner, for ``direction.DiagonalHessian``.

    .. math:: \eta_k = \min\Bigl(\sqrt{1+\theta_{k-1}}\,\eta_{k-1},\;
              \frac{\lVert x_k - x_{k-1}\rVert_{B}}{2\,\lVert g_k - g_{k-1}\rVert_{B^{-1}}}\Bigr),\quad
              \theta_k = \frac{\eta_k}{\eta_{k-1}},\quad \theta_0 = \infty

    with B the diagonal that the direction divides by, now.  Both gradients should be of the same function: give the closure the
    whole data.  Where the weights or the gradient have not changed, η stays.

    Args:
        eta0: of the first step, default 1e-3 (ours; the paper finds that it hardly matters).

    Source: Jahani, Rusakov, Shi, Richtárik, Mahoney & Takáč 2022, arXiv:2109.05198, Algorithm 1; with B = I it is AdGD
    (Malitsky & Mishchenko 2020).

    Note: the paper's stochastic form evaluates both gradients on the same batch, which is one gradient more a step; it is not
    here.
    """

    eta0: float = real("(0, inf)", default=1e-3)
    state = {"x_last": State(start="x", exact=True), "g_last": State(exact=True)}
    memory = {"last": 0.0, "before": 0.0}  # η of the last step and of the one before
    needs = frozenset({"D", "floor"})
    cite = ("jahani2022oasis",)

    def measure(self, g: Tensor, d: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> dict[str, Tensor]:
        """Squares of both norms."""
        B = (s.D * h.past + s.probe * (1 - h.past)).abs().clamp(min=h.floor)
        moved, turned = x - s.x_last, g - s.g_last
        return {"moved": moved * moved * B, "turned": turned * turned / B}

    def advance(
        self, g: Tensor, d: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars
    ) -> tuple[NewState, dict[str, Tensor]]:
        """Where the gradient was this one."""
        return {"x_last": x, "g_last": g}, {}

    def eta(self, sums: Mapping[str, float], memory: dict[str, float], h: Scalars, loss: float) -> float:
        """The smaller of the two."""
        if memory["last"] == 0.0:
            memory["last"] = h.eta0
        elif sums["moved"] > 0 and sums["turned"] > 0:
            growth = 1 + memory["last"] / memory["before"] if memory["before"] else math.inf
            found = min(math.sqrt(growth) * memory["last"], math.sqrt(sums["moved"] / sums["turned"]) / 2)
            memory["last"], memory["before"] = found, memory["last"]
        return memory["last"]
