"""Polyak's step: as far as the loss says there is to go."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import SimpleNamespace

from torch import Tensor

from steepest.core.fields import real
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

    c: float = real("(0, inf)", default=0.5)
    f_star: float = real("(-inf, inf)", default=0.0)
    eta_max: float = real("(0, inf]", default=10.0)
    growth: float = real("[1, inf]", default=float("inf"))
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


class SANIA(StepSize):
    r"""Polyak's step with a quadratic model: as far as :math:`f + \langle g, w\rangle + \frac12\lVert w\rVert_B^2` says.

    .. math:: \eta = 1 - \sqrt{1 - \nu}\ \text{ if } \nu \le 1, \text{ else } 1,\quad
              \nu = \frac{2 (f(x) - f^*)}{\langle g, d\rangle},\quad d = B^{-1} g

    the shortest move, in the norm of B, at whose end the model is f*; where the model never gets there, its minimum.
    Like Polyak's, the step needs no unit: if B has the units of f/x², the path does not depend on those of x.

    Args:
        f_star: f*, a lower bound of every mini-batch loss, default 0.

    Source: Abdukhakimov, Xiang, Kamzolov, Gower & Takáč 2023, arXiv:2312.17369, SANIA (quasi-Newton form, as quoted by
    third parties and in the authors' code).  Preconditioners B are directions: ``AdaGradSQR``, ``AdamSQR``, and
    ``DiagonalHessian`` with ``point.Hutchinson``.

    Note: 1 - √(1 - ν) is worked out as ν / (1 + √(1 - ν)), which does not cancel for small ν.
    """

    f_star: float = real("(-inf, inf)", default=0.0)
    needs = frozenset({"closure"})
    uses_loss = True
    cite = ("abdukhakimov2023sania",)

    def measure(self, g: Tensor, d: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> dict[str, Tensor]:
        """⟨g, d⟩."""
        return {"gd": g * d}

    def eta(self, sums: Mapping[str, float], memory: dict[str, float], h: Scalars, loss: float) -> float:
        """The root of the model nearest to 0, or its minimum."""
        slope, gap = sums.get("gd", 0.0), max(loss - h.f_star, 0.0)
        if slope <= 0:
            return 0.0
        nu = min(2 * gap / slope, 1.0)
        return nu / (1 + math.sqrt(1 - nu))
