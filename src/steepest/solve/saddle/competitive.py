"""Competitive gradients: each player answers the move that the other is about to make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from steepest.solve.inner import conjugate_gradient
from steepest.solve.saddle.problem import Saddle
from steepest.solve.solver import Solver


@dataclass
class CompetitiveState:
    """Point, and the last direction."""

    x: Tensor
    d: Tensor


@dataclass(frozen=True)
class CompetitiveGradient(Solver[Saddle, CompetitiveState]):
    r"""Competitive gradient optimization (CGO) for two players with opposed interests.

    .. math:: x^+ &= x - \eta\,(I + \alpha^2 D_{xy} D_{yx})^{-1} (\nabla_x f + \alpha D_{xy} \nabla_y f) \\
              y^+ &= y + \eta\,(I + \alpha^2 D_{yx} D_{xy})^{-1} (\nabla_y f - \alpha D_{yx} \nabla_x f)

    with D the mixed second derivatives, by products: both systems are solved together by conjugate gradients. α is how much a
    player takes the other's move into account; α = η is competitive gradient descent (CGD), whose directions these are, and
    α = 0 descent-ascent. As η → 0 the first keeps the interaction and the second loses it.

    Args:
        lr: η.
        alpha: α, default 1.
        optimistic: move by 2d - d₋ instead of d; default False.
        tolerance: of conjugate gradients, relative to the right-hand side; default 1e-8.

    Measures ``residual`` ‖F(z)‖, evaluated for it.

    Raises:
        TypeError: in a run, the problem has a set.

    Source: Vyas, Bullins & Azizzadenesheli 2023, arXiv:2205.14232 (CGO); Schäfer & Anandkumar 2019, arXiv:1905.12103 (CGD).

    Note: the paper's optimistic form (oCGO) was not at hand; ``optimistic`` is in its spirit, the plain optimistic step along
    CGO's direction with d₋ = d in the first step.
    """

    lr: float
    alpha: float = 1.0
    optimistic: bool = False
    tolerance: float = 1e-8
    ranges: ClassVar[dict[str, str]] = {"lr": "(0, inf)", "alpha": "[0, inf)", "tolerance": "(0, 1)"}

    def init(self, problem: Saddle) -> CompetitiveState:
        """The start."""
        if problem.has_set:
            raise TypeError("CompetitiveGradient is for problems without a set: leave out project=")
        return CompetitiveState(problem.start, torch.full_like(problem.start, torch.nan))

    def step(self, problem: Saddle, state: CompetitiveState) -> CompetitiveState:
        """(I + αJ) d = F(z), with J(u, v) = (D_xy v, -D_yx u) skew, by (I - α²J²) d = (I - αJ) F."""
        F, mixed = problem.mixed(state.x)

        def skew(w: Tensor) -> Tensor:
            return problem.signs * mixed(w) * self.alpha

        d = F if self.alpha == 0 else conjugate_gradient(lambda w: w - skew(skew(w)), F - skew(F), self.tolerance)[0]
        first = not self.optimistic or bool(state.d.isnan().any())
        return CompetitiveState(state.x - (d if first else 2 * d - state.d) * self.lr, d)

    def measure(self, problem: Saddle, state: CompetitiveState) -> dict[str, float]:
        """‖F(z)‖."""
        return {"residual": problem.residual(state.x)}
