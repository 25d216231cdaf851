"""SANIA with the Hessian: a Newton step as long as a lower bound of f says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from steepest.solve.inner import conjugate_gradient
from steepest.solve.problem import Smooth
from steepest.solve.smooth.gradient import GradientState
from steepest.solve.solver import Solver


@dataclass(frozen=True)
class SANIANewton(Solver[Smooth, GradientState]):
    r"""Newton's method with Polyak's step, without a learning rate or a line search.

    .. math:: x^+ = x - \lambda\, \nabla^2 f(x)^{-1} g,\quad \lambda = 1 - \sqrt{1 - \nu}\ \text{ if } \nu \le 1,
              \text{ else } 1,\quad \nu = \frac{2 (f(x) - f^*)}{g^\top \nabla^2 f(x)^{-1} g}

    the shortest move, in the norm of the Hessian, at whose end the quadratic model is f*.  The path does not depend on the
    coordinates of x.  The system is solved by conjugate gradients, which end where the Hessian bends down.

    Args:
        f_star: f*, a lower bound of f, default 0; one below the least value makes longer steps, up to Newton's. Where it is
            negative, add a constant to f.
        inner: products with the Hessian in one step, at most; default 200.
        tolerance: residual of the system relative to ‖g‖, default 1e-8.

    Measures ``objective``, ``residual`` ‖∇f(x)‖ and ``step_size`` λ.

    Source: Abdukhakimov, Xiang, Kamzolov, Gower & Takáč 2023, arXiv:2312.17369, SANIA with B = ∇²f.

    Note: on batches, and with preconditioners that are diagonal, it is ``stepsize.SANIA``.  f is convex in the paper.
    """

    f_star: float = 0.0
    inner: int = 200
    tolerance: float = 1e-8
    ranges: ClassVar[dict[str, str]] = {"f_star": "[0, inf)", "inner": "[1, inf)", "tolerance": "(0, 1)"}

    def init(self, problem: Smooth) -> GradientState:
        """Value and gradient at the start."""
        return GradientState(problem.start, *problem.value_and_grad(problem.start), 1.0)

    def step(self, problem: Smooth, state: GradientState) -> GradientState:
        """One system and one step."""
        d, _ = conjugate_gradient(problem.hvp(state.x), state.g, self.tolerance, self.inner)
        slope, gap = float(state.g @ d), max(state.f - self.f_star, 0.0)
        nu = min(2 * gap / slope, 1.0) if slope > 0 else 0.0
        lam = nu / (1 + math.sqrt(1 - nu))  # 1 - √(1 - ν) without cancellation
        x = state.x - d * lam
        return GradientState(x, *problem.value_and_grad(x), lam)

    def measure(self, problem: Smooth, state: GradientState) -> dict[str, float]:
        """From the state alone."""
        return {"objective": state.f, "residual": float(state.g.norm()), "step_size": state.lr}
