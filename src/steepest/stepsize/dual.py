"""D-Adaptation where it is proven: dual averaging whose weights are a growing lower bound of the distance to a solution."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Literal

import torch
from torch import Tensor

from steepest.core.fields import real, word
from steepest.core.part import NewState, Per, Scalars
from steepest.stepsize.distance import DAdaptation

__all__ = ["DAdaptAdaGrad", "DAdaptDual"]


class Dual(DAdaptation):
    """What both kinds of dual averaging share: either bound, from terms of all steps and norms of the sum."""

    bound: Literal["inner", "norms"] = word(default="inner", kw_only=True)
    per: Per = word(default="all", kw_only=True)
    gives = frozenset({"weights of gradients"})
    weighs_gradient = True

    @staticmethod
    def summed(g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, Tensor]:
        """The gradient with decay and the new sum, as the directions of dual averaging make them."""
        felt = g + x * h.weight_decay
        return felt, s.s + felt * h.w

    def learn(self, memory: dict[str, float], term: float, square: float, norm: float, h: Scalars) -> None:
        """Raise the estimate: ``square`` is that of s in the norm of the points, ``norm`` that of s in the dual one."""
        inner = self.bound == "inner"
        memory["numerator"] += term if inner else -term
        above, below = (2 * memory["numerator"], norm) if inner else (square + memory["numerator"], 2 * norm)
        self.grow(memory, above, below, h)


class DAdaptDual(Dual):
    r"""D-Adaptation for dual averaging, for ``direction.DualAveraging``.

    .. math:: s \leftarrow s + \lambda_k g_k,\quad \lambda_k = d_k\,\mathrm{lr}_k,\quad
              \gamma_{k+1} = \Bigl(G_0^2 + \sum_{i\le k}\lVert g_i\rVert^2\Bigr)^{-1/2},\quad
              d_{k+1} = \max(d_k, \hat d_{k+1})

    .. math:: \hat d_{k+1} = \frac{2\sum_{i\le k}\lambda_i\langle g_i, x_0 - x_i\rangle}{\lVert s_{k+1}\rVert}
              \quad\text{or}\quad
              \frac{\gamma_{k+1}\lVert s_{k+1}\rVert^2 - \sum_{i\le k}\gamma_i\lambda_i^2\lVert g_i\rVert^2}
              {2\lVert s_{k+1}\rVert}

    for ``bound="inner"`` and for ``bound="norms"``, which is the paper's Algorithm 1: on a convex loss without noise it never
    exceeds the distance from x₀ to a solution.  The first is at least twice as large, and what trains: the paper says that the
    inner product may take the place of the norms, and drops the 2 of the denominator in its Algorithms 3 and 4.  Its half
    never exceeds the distance either.

    Args:
        d0: the first estimate, default 1e-6 (paper); it should be too small.
        growth_rate: largest factor by which the estimate grows in a step, default infinite (paper; authors: 1.02 where
            training is unstable).
        G0: a bound of all gradients' norms, default 0 (Algorithm 1; with a bound it is equation (1)).  Then γ₀ is 1/‖g₀‖.
        bound: "inner" or "norms".
        per: who shares one estimate: ``"all"`` (paper), a ``"group"``, each ``"tensor"``.

    Source: Defazio & Mishchenko 2023, arXiv:2301.07733v1, Algorithm 1 and section 4.

    Note: the theory is about the mean of the points weighed by d; ``point=steepest.point.Average(gamma=0)`` is the plain
    mean, which is the same once d stands still.
    """

    G0: float = real("[0, inf)", default=0.0)
    memory = {**Dual.memory, "G": 0.0, "gain": 0.0, "gain_before": 0.0}
    needs = frozenset({"s", "x0", "weight_decay"})
    gives = Dual.gives | {"gain"}

    def measure(self, g: Tensor, d: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> dict[str, Tensor]:
        """‖g‖²."""
        felt, _ = self.summed(g, x, s, h)
        return {"felt": felt * felt}

    def eta(self, sums: Mapping[str, float], memory: dict[str, float], h: Scalars, loss: float) -> float:
        """The estimate before this gradient; γ before and after it."""
        memory["G"] = (memory["G"] or h.G0**2) + sums["felt"]
        memory["gain_before"] = memory["gain"] or 1 / (h.G0 or math.sqrt(sums["felt"]) or math.inf)
        memory["gain"] = 1 / (math.sqrt(memory["G"]) or math.inf)
        return super().eta(sums, memory, h, loss)

    def advance(
        self, g: Tensor, d: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars
    ) -> tuple[NewState, dict[str, Tensor]]:
        """λ⟨g, x₀ - x⟩ or λ²‖g‖², and ‖s‖²."""
        felt, new = self.summed(g, x, s, h)
        term = felt * (s.x0 - x) * h.w if self.bound == "inner" else felt * felt * (h.w * h.w)
        return {}, {"term": term, "norm2": new * new}

    def after(self, sums: Mapping[str, float], memory: dict[str, float], h: Scalars) -> None:
        """The estimate for the next step."""
        norm2 = sums.get("norm2", 0.0)
        term = sums.get("term", 0.0) * (1 if self.bound == "inner" else memory["gain_before"])
        self.learn(memory, term, memory["gain"] * norm2, math.sqrt(norm2), h)


class DAdaptAdaGrad(Dual):
    r"""D-Adaptation for AdaGrad by dual averaging, for ``direction.DualAdaGrad``.

    .. math:: s \leftarrow s + \lambda_k g_k,\quad \lambda_k = d_k\,\mathrm{lr}_k,\quad a_{k+1}^2 = a_k^2 + g_k^2,\quad
              d_{k+1} = \max(d_k, \hat d_{k+1})

    .. math:: \hat d_{k+1} = \frac{2\sum_{i\le k}\lambda_i\langle g_i, x_0 - x_i\rangle}{\lVert s_{k+1}\rVert_1}
              \quad\text{or}\quad
              \frac{\lVert s_{k+1}\rVert^2_{A_{k+1}^{-1}} - \sum_{i\le k}\lambda_i^2\lVert g_i\rVert^2_{A_i^{-1}}}
              {2\lVert s_{k+1}\rVert_1}

    with A = diag(a), for ``bound="inner"`` and for ``bound="norms"``, which is the paper's Algorithm 2: on a convex loss
    without noise it never exceeds the largest coordinate of x₀ - x*.  On nets and on logistic regression that one hardly
    grows; the first trains, for the reasons given at :class:`DAdaptDual`.

    Args:
        d0: the first estimate, default 1e-6 (paper); it should be too small.
        growth_rate: largest factor by which the estimate grows in a step, default infinite (paper; authors: 1.02 where
            training is unstable).
        bound: "inner" or "norms".
        per: who shares one estimate: ``"all"`` (paper), a ``"group"``, each ``"tensor"``.

    Source: Defazio & Mishchenko 2023, arXiv:2301.07733v1, Algorithm 2 and section 4.

    Note: a₀ is a bound of all gradients in the paper (``initial_accumulator_value`` is its square) and need not be: a
    coordinate that had no gradient before takes |g| for it, as the paper has it for one γ.  The authors' code has norms
    without the 2, the new a in the last sum, and a₀² = 1e-6; its default ``eps`` is refused by its own constructor.  It
    ends near the inner product's.
    """

    needs = frozenset({"s", "x0", "v", "weight_decay", "initial_accumulator_value"})

    def advance(
        self, g: Tensor, d: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars
    ) -> tuple[NewState, dict[str, Tensor]]:
        """λ⟨g, x₀ - x⟩ or λ²‖g‖², and two norms of s."""
        felt, new = self.summed(g, x, s, h)
        if self.bound == "inner":
            return {}, {"term": felt * (s.x0 - x) * h.w, "norm1": new.abs()}
        before, square = s.v + h.start, felt * felt
        a = torch.sqrt(before + square)
        term = torch.where(before > 0, square / torch.sqrt(before), felt.abs()) * (h.w * h.w)
        return {}, {"term": term, "norm1": new.abs(), "square": torch.where(a > 0, new * new / a, new * 0.0)}

    def after(self, sums: Mapping[str, float], memory: dict[str, float], h: Scalars) -> None:
        """The estimate for the next step."""
        self.learn(memory, sums.get("term", 0.0), sums.get("square", 0.0), sums.get("norm1", 0.0), h)
