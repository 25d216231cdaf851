"""Frank-Wolfe: stay in a convex set by moving towards its extreme points, without a projection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from steepest.solve.problem import Constrained
from steepest.solve.solver import Solver


@dataclass
class FrankWolfeState:
    """Point, value, gradient, the vertex s that minimizes ⟨g, s⟩, and the number of steps."""

    x: Tensor
    f: float
    g: Tensor
    s: Tensor
    t: int


@dataclass(frozen=True)
class FrankWolfe(Solver[Constrained, FrankWolfeState]):
    r"""Frank-Wolfe, :math:`x^+ = x + \gamma (s - x),\ s = \operatorname{argmin}_{s \in C} \langle\nabla f(x), s\rangle`.

    Args:
        L: a smoothness constant of f, for the short step γ = min(1, gap/(L‖s - x‖²)); default None, γ = 2/(t + 2).

    Measures ``objective`` f(x) and ``gap`` ⟨∇f(x), x - s⟩, which for a convex f bounds f(x) - min f.

    Source: Frank & Wolfe 1956; Jaggi 2013, Algorithm 1 and equation 2 for the gap; the short step is Demyanov & Rubinov's.
    """

    L: float | None = None
    ranges: ClassVar[dict[str, str]] = {"L": "(0, inf)"}

    def init(self, problem: Constrained) -> FrankWolfeState:
        """Gradient and vertex at the start."""
        return self._at(problem, problem.start, 0)

    def step(self, problem: Constrained, state: FrankWolfeState) -> FrankWolfeState:
        """One move."""
        d = state.s - state.x
        gamma = 2 / (state.t + 2)
        if self.L is not None:
            square = float(d @ d)
            gamma = min(1.0, max(0.0, -float(state.g @ d) / (self.L * square))) if square > 0 else 0.0
        return self._at(problem, state.x + d * gamma, state.t + 1)

    def _at(self, problem: Constrained, x: Tensor, t: int) -> FrankWolfeState:
        f, g = problem.value_and_grad(x)
        return FrankWolfeState(x, f, g, problem.lmo(g), t)

    def measure(self, problem: Constrained, state: FrankWolfeState) -> dict[str, float]:
        """From the state alone."""
        return {"objective": state.f, "gap": float(state.g @ (state.x - state.s))}
