"""Prodigy: D-Adaptation that weighs late gradients by the square of the estimate, so that it grows faster."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import SimpleNamespace

from torch import Tensor

from steepest.core.fields import real, word
from steepest.core.part import NewState, Per, Scalars, State
from steepest.stepsize.distance import DAdaptation


class Prodigy(DAdaptation):
    r"""A growing estimate d of the distance to the solution, for ``direction.Prodigy``.

    .. math:: r \leftarrow q\, r + (1-q)\, \gamma d^2 \langle g, x_0 - x\rangle,\quad
              s \leftarrow q\, s + (1-q)\, \gamma d^2 g,\quad
              d \leftarrow \max\Bigl(d,\, c\, \frac{r}{\lVert s\rVert_1}\Bigr),\quad q = \sqrt{\beta_2}

    with γ the ``lr`` (a schedule's multiplier); the step is γ times the old d.

    Args:
        d0: the first estimate, default 1e-6 (paper).
        coefficient: c, a factor of the estimate, default 1 (paper; the authors' ``d_coef``).
        growth_rate: largest factor by which the estimate grows in a step, default infinite (paper).
        per: who shares one estimate: ``"all"`` (paper), a ``"group"``, each ``"tensor"``.

    Source: Mishchenko & Defazio 2023, arXiv:2306.06101, Algorithm 4.

    Note: the authors' code divides r and s by d₀, which cancels, and has the new d beside ε.
    """

    coefficient: float = real("(0, inf)", default=1.0)
    per: Per = word(default="all")
    state = {"x0": State("x", exact=True), "s": State()}
    needs = frozenset({"moments of weighted gradients", "beta2"})
    gives = frozenset({"distance"})
    cite = ("mishchenko2023prodigy",)

    def scalars(self, t: int, h: Scalars) -> dict[str, float]:
        """q = √β₂."""
        return {"q": math.sqrt(h.beta2)}

    def advance(
        self, g: Tensor, d: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars
    ) -> tuple[NewState, dict[str, Tensor]]:
        """New s; the numerator's term and ‖s‖₁."""
        weighed = g * h.eta * h.distance
        new = s.s * h.q + weighed * (1 - h.q)
        return {"s": new}, {"inner": weighed * (s.x0 - x), "norm1": new.abs()}

    def after(self, sums: Mapping[str, float], memory: dict[str, float], h: Scalars) -> None:
        """The estimate for the next step."""
        memory["numerator"] = h.q * memory["numerator"] + (1 - h.q) * sums.get("inner", 0.0)
        self.grow(memory, h.coefficient * memory["numerator"], sums.get("norm1", 0.0), h)
