"""Proximal gradient methods, plain and accelerated. With h = 0 they are gradient methods, with a set projected ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from steepest.solve.inner import first_step
from steepest.solve.problem import Differentiable
from steepest.solve.result import Status
from steepest.solve.solver import Solver


@dataclass
class ProximalState:
    """Point, the point y to step from, t of the extrapolation, step size, and the last gradient mapping's norm."""

    x: Tensor
    y: Tensor
    t: float
    lr: float
    residual: float


def forward_backward(problem: Differentiable, y: Tensor, lr: float, fixed: bool) -> tuple[Tensor, float]:
    r"""z = prox(y - η∇f(y), η), with η halved until the quadratic bound holds; z and η, or y and 0 if it never does.

    .. math:: f(z) \le f(y) + \langle\nabla f(y), z - y\rangle + \tfrac{1}{2\eta}\lVert z - y\rVert^2

    Source: Beck & Teboulle 2009, "FISTA with backtracking".
    """
    f, g = problem.value_and_grad(y)
    for tries in range(60 if lr else 0):
        z = problem.prox(y - g * lr, lr)
        if fixed:
            return z, lr
        move = z - y
        if tries and not bool(move.any()):  # shorter than the rounding of y
            break
        bound = f + float(g @ move) + float(move @ move) / (2 * lr)
        if problem.value(z) <= bound + torch.finfo(y.dtype).eps * abs(f):
            return z, lr
        lr /= 2
    return y, 0.0


def mapping(z: Tensor, y: Tensor, lr: float) -> float:
    """The norm of the gradient mapping, ‖z - y‖/η; inf where no step was found."""
    return float((z - y).norm()) / lr if lr else float("inf")


def numbers(problem: Differentiable, state: ProximalState) -> dict[str, float]:
    """One value of the objective, and what the last step left."""
    return {"objective": problem.objective(state.x), "residual": state.residual, "step_size": state.lr}


def stalled(measured: dict[str, float]) -> Status | None:
    """Stalled when no step was found."""
    return Status.STALLED if measured["step_size"] == 0 else None


@dataclass(frozen=True)
class ProximalGradient(Solver[Differentiable, ProximalState]):
    r"""Proximal gradient descent, :math:`x^+ = \operatorname{prox}_{\eta h}(x - \eta\nabla f(x))`.

    For a :class:`~steepest.solve.Constrained` problem this is projected gradient descent.

    Args:
        lr: η, at most 1/L; default None, found by backtracking, which begins at ``growth`` times the last one.
        growth: default 1.5.

    Measures ``objective`` f(x) + h(x), evaluated for it, ``residual`` ‖x⁺ - x‖/η of the last step (inf before it), and
    ``step_size`` η; stalls when the backtracking finds none.

    Source: Lions & Mercier 1979; the backtracking is Beck & Teboulle's 2009.
    """

    lr: float | None = None
    growth: float = 1.5
    ranges: ClassVar[dict[str, str]] = {"lr": "(0, inf)", "growth": "[1, inf)"}

    def init(self, problem: Differentiable) -> ProximalState:
        """A first step size."""
        return begin(problem, self.lr)

    def step(self, problem: Differentiable, state: ProximalState) -> ProximalState:
        """One move."""
        x = state.x
        z, lr = forward_backward(problem, x, self.lr or state.lr * self.growth, self.lr is not None)
        return ProximalState(z, z, 1.0, lr, mapping(z, x, lr))

    def measure(self, problem: Differentiable, state: ProximalState) -> dict[str, float]:
        """One value of the objective."""
        return numbers(problem, state)

    def status(self, numbers: dict[str, float]) -> Status | None:
        """Stalled when no step was found."""
        return stalled(numbers)


@dataclass(frozen=True)
class FISTA(Solver[Differentiable, ProximalState]):
    r"""Accelerated proximal gradient descent; with h = 0 Nesterov's accelerated gradient.

    .. math:: x^+ = \operatorname{prox}_{\eta h}(y - \eta\nabla f(y)),\quad t^+ = \tfrac12(1 + \sqrt{1 + 4t^2}),\quad
              y^+ = x^+ + \tfrac{t - 1}{t^+}(x^+ - x)

    Args:
        lr: η, at most 1/L; default None, found by backtracking, which never grows.
        restart: begin the extrapolation anew where it points uphill, ⟨y - x⁺, x⁺ - x⟩ > 0; default True.

    Measures ``objective`` f(x) + h(x), evaluated for it, ``residual`` ‖x⁺ - y‖/η of the last step (inf before it), and
    ``step_size`` η; stalls when the backtracking finds none.

    Source: Beck & Teboulle 2009; the restart is O'Donoghue & Candès 2015, section 3.2 ("gradient scheme").
    """

    lr: float | None = None
    restart: bool = True
    ranges: ClassVar[dict[str, str]] = {"lr": "(0, inf)"}

    def init(self, problem: Differentiable) -> ProximalState:
        """A first step size."""
        return begin(problem, self.lr)

    def step(self, problem: Differentiable, state: ProximalState) -> ProximalState:
        """One move from y, and the next y."""
        y, t = state.y, state.t
        x, lr = forward_backward(problem, y, state.lr, self.lr is not None)
        move, later = x - state.x, (1 + (1 + 4 * t * t) ** 0.5) / 2
        residual = mapping(x, y, lr)
        if self.restart and float((y - x) @ move) > 0:
            return ProximalState(x, x, 1.0, lr, residual)
        return ProximalState(x, x + move * ((t - 1) / later), later, lr, residual)

    def measure(self, problem: Differentiable, state: ProximalState) -> dict[str, float]:
        """One value of the objective."""
        return numbers(problem, state)

    def status(self, numbers: dict[str, float]) -> Status | None:
        """Stalled when no step was found."""
        return stalled(numbers)


def begin(problem: Differentiable, lr: float | None) -> ProximalState:
    """The start, with a step size if none is given."""
    x = problem.start
    if lr is None:
        lr = first_step(lambda z: problem.value_and_grad(z)[1], x, problem.value_and_grad(x)[1])
    return ProximalState(x, x, 1.0, lr, float("inf"))
