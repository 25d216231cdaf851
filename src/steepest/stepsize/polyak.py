"""Polyak's step: as far as the loss says there is to go."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace

from torch import Tensor

from steepest.core.part import Scalars, StepSize


class SPS(StepSize):
    r"""The stochastic Polyak step, bounded.

    .. math:: \eta = \min\Bigl(\frac{f(x) - f^*}{c\,\langle g, d\rangle},\ \eta_{\max},\ \tau\,\eta_{-}\Bigr)

    with f and g of the same mini-batch and ⟨g, d⟩ = ‖g‖² for gradient descent.  The third bound, on the growth from the
    last positive step η₋, is on when ``growth`` is finite (the paper's smoothing has τ = 2^(1/batches per epoch)).

    Args:
        c: default 0.5 (convex problems; 0.2 for deep nets in the paper).
        f_star: f*, a lower bound of every mini-batch loss, default 0.
        eta_max: default 10.
        growth: τ, default infinite (no smoothing).

    Source: Loizou et al. 2021, arXiv:2002.10542, SPS_max.

    Note: a zero step is not stored as η₋; in the authors' code one zero gradient freezes the method for ever.
    """

    hyper = {"c": (0.5, "(0, inf)"), "f_star": (0.0, "(-inf, inf)"), "eta_max": (10.0, "(0, inf]"),
             "growth": (float("inf"), "[1, inf]")}  # fmt: skip
    memory = {"eta_prev": float("inf")}
    needs = frozenset({"closure"})
    uses_loss = True
    cite = ("loizou2021sps",)

    def measure(self, g: Tensor, d: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> dict[str, Tensor]:
        """⟨g, d⟩."""
        return {"gd": g * d}

    def eta(self, sums: Mapping[str, float], memory: dict[str, float], h: Scalars, loss: float) -> float:
        """The bounded step."""
        slope, gap = sums.get("gd", 0.0), max(loss - h.f_star, 0.0)
        if slope <= 0 or gap == 0:
            return 0.0
        bound = h.eta_max if memory["eta_prev"] == float("inf") else min(h.eta_max, h.growth * memory["eta_prev"])
        memory["eta_prev"] = min(gap / (h.c * slope), bound)
        return memory["eta_prev"]
