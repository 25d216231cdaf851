"""Gradient descent, with a fixed step or a line search: the baseline of all baselines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from steepest.solve.inner import armijo, first_step
from steepest.solve.problem import Smooth
from steepest.solve.result import Status
from steepest.solve.solver import Solver


@dataclass
class GradientState:
    """Point, value, gradient, and the last step size (0: no step was found)."""

    x: Tensor
    f: float
    g: Tensor
    lr: float


@dataclass(frozen=True)
class GradientDescent(Solver[Smooth, GradientState]):
    r"""Gradient descent, :math:`x^+ = x - \eta \nabla f(x)`.

    Args:
        lr: η; default None, a backtracking line search by Armijo's rule, which begins at ``growth`` times its last step.
        c: the part of the predicted decrease that the search requires, default 1e-4.
        growth: default 2.

    Measures ``objective`` f(x) and ``residual`` ‖∇f(x)‖; stalls when the search finds no step.

    Source: Cauchy 1847; Armijo 1966.

    Note: differences of f below its rounding are let through by the search, and no step grows by them, so that in float32
    it neither freezes nor runs away where f is flat to the last digit.
    """

    lr: float | None = None
    c: float = 1e-4
    growth: float = 2.0
    ranges: ClassVar[dict[str, str]] = {"lr": "(0, inf)", "c": "(0, 1)", "growth": "[1, inf)"}

    def init(self, problem: Smooth) -> GradientState:
        """Value and gradient at the start, and a first step."""
        x = problem.start
        f, g = problem.value_and_grad(x)
        return GradientState(x, f, g, self.lr or first_step(lambda z: problem.value_and_grad(z)[1], x, g) / self.growth)

    def step(self, problem: Smooth, state: GradientState) -> GradientState:
        """One move."""
        x, g, lr, square = state.x, state.g, self.lr, float(state.g @ state.g)
        if lr is None:
            eps = torch.finfo(x.dtype).eps
            grows = state.lr * square > 100 * eps * abs(state.f)  # else rounding hides the difference of step sizes
            lr, _ = armijo(lambda a: problem.value(x - g * a), state.f, -square,
                           state.lr * (self.growth if grows else 1.0), self.c, rounding=eps)  # fmt: skip
        x = x - g * lr
        return GradientState(x, *problem.value_and_grad(x), lr)

    def measure(self, problem: Smooth, state: GradientState) -> dict[str, float]:
        """From the state alone."""
        return {"objective": state.f, "residual": float(state.g.norm()), "step_size": state.lr}

    def status(self, numbers: dict[str, float]) -> Status | None:
        """Stalled when no step was found."""
        return Status.STALLED if numbers["step_size"] == 0 else None
