"""Newton's method with Hessian-vector products only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from steepest.solve.inner import armijo, conjugate_gradient
from steepest.solve.problem import Smooth
from steepest.solve.result import Status
from steepest.solve.smooth.gradient import GradientState
from steepest.solve.solver import Solver


@dataclass(frozen=True)
class NewtonCG(Solver[Smooth, GradientState]):
    r"""Newton's method, :math:`x^+ = x + a d,\ \nabla^2 f(x)\, d \approx -\nabla f(x)`, d by conjugate gradients.

    The residual of d is at most :math:`\min(\tfrac12, \sqrt{\lVert\nabla f\rVert}) \lVert\nabla f\rVert`, for superlinear
    convergence; negative curvature ends the inner loop. The step a is 1 or is halved until f falls (Armijo).

    Args:
        inner: products with the Hessian in one step, at most; default 200.

    Measures ``objective``, ``residual`` ‖∇f(x)‖ and ``step_size`` a; stalls when no step lowers f.

    Source: Dembo, Eisenstat & Steihaug 1982; Nocedal & Wright 2006, Algorithm 7.1.
    """

    inner: int = 200
    ranges: ClassVar[dict[str, str]] = {"inner": "[1, inf)"}

    def init(self, problem: Smooth) -> GradientState:
        """Value and gradient at the start."""
        return GradientState(problem.start, *problem.value_and_grad(problem.start), 1.0)

    def step(self, problem: Smooth, state: GradientState) -> GradientState:
        """One direction and one search along it."""
        x, g = state.x, state.g
        size = float(g.norm())
        d, _ = conjugate_gradient(problem.hvp(x), -g, min(0.5, math.sqrt(size)), self.inner)
        a, _ = armijo(lambda a: problem.value(x + d * a), state.f, float(g @ d), rounding=torch.finfo(x.dtype).eps)
        x = x + d * a
        return GradientState(x, *problem.value_and_grad(x), a)

    def measure(self, problem: Smooth, state: GradientState) -> dict[str, float]:
        """From the state alone."""
        return {"objective": state.f, "residual": float(state.g.norm()), "step_size": state.lr}

    def status(self, numbers: dict[str, float]) -> Status | None:
        """Stalled when no step was found."""
        return Status.STALLED if numbers["step_size"] == 0 else None
