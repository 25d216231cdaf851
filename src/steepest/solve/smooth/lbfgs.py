"""L-BFGS: what a smooth problem without noise should be given first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from steepest.solve.inner import strong_wolfe, two_loop, useful
from steepest.solve.inner.lbfgs import dots
from steepest.solve.problem import Smooth
from steepest.solve.result import Status
from steepest.solve.solver import Solver


@dataclass
class LBFGSState:
    """Point, value, gradient, the last moves S and changes of the gradient Y (oldest first), the last step size."""

    x: Tensor
    f: float
    g: Tensor
    S: Tensor
    Y: Tensor
    step_size: float


@dataclass(frozen=True)
class LBFGS(Solver[Smooth, LBFGSState]):
    r"""Limited-memory BFGS, :math:`x^+ = x - a H \nabla f(x)`, with a step a by the strong Wolfe conditions.

    Args:
        memory: pairs that are kept, default 10.

    Measures ``objective`` f(x), ``residual`` ‖∇f(x)‖ and ``step_size`` a; stalls when no step lowers f.

    Source: Liu & Nocedal 1989; Nocedal & Wright 2006, Algorithm 7.5.
    """

    memory: int = 10
    ranges: ClassVar[dict[str, str]] = {"memory": "[1, inf)"}

    def init(self, problem: Smooth) -> LBFGSState:
        """Value and gradient at the start."""
        x = problem.start
        none = x.new_zeros(0, len(x))
        return LBFGSState(x, *problem.value_and_grad(x), none, none, 1.0)

    def step(self, problem: Smooth, state: LBFGSState) -> LBFGSState:
        """One line search."""
        x, f, g = state.x, state.f, state.g
        pairs = [([s], [y], dots([s], [y])) for s, y in zip(state.S, state.Y, strict=True)]
        d = -two_loop(pairs, [g])[0]

        def phi(a: float) -> tuple[float, float, Tensor]:
            value, grad = problem.value_and_grad(x + d * a)
            return value, float(grad @ d), grad

        first = 1.0 if pairs else min(1.0, 1.0 / max(float(g.abs().sum()), 1e-30))
        a, value, grad = strong_wolfe(phi, f, float(g @ d), g, first, rounding=torch.finfo(x.dtype).eps)
        new = x + d * a
        s, y, S, Y = new - x, grad - g, state.S, state.Y
        if a and useful([s], [y]):
            S, Y = (torch.cat([old, row[None]])[-self.memory :] for old, row in ((S, s), (Y, y)))
        return LBFGSState(new, value, grad, S, Y, a)

    def measure(self, problem: Smooth, state: LBFGSState) -> dict[str, float]:
        """From the state alone."""
        return {"objective": state.f, "residual": float(state.g.norm()), "step_size": state.step_size}

    def status(self, numbers: dict[str, float]) -> Status | None:
        """Stalled when no step was found."""
        return Status.STALLED if numbers["step_size"] == 0 else None
