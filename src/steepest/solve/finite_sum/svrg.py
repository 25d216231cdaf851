"""SVRG: gradients of few samples, corrected by those at a point where all were looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from steepest.solve.problem import FiniteSum
from steepest.solve.solver import Solver, generator, seeded


@dataclass
class SVRGState:
    """Point, the snapshot w with the whole gradient there, the state of the random generator, and the number of steps."""

    x: Tensor
    w: Tensor
    full: Tensor
    random: Tensor
    t: int


@dataclass(frozen=True)
class SVRG(Solver[FiniteSum, SVRGState]):
    r"""Stochastic variance-reduced gradient, :math:`x^+ = x - \eta (\nabla f_B(x) - \nabla f_B(w) + \nabla f(w))`.

    Args:
        lr: η.
        batch: samples in B, drawn with replacement; default 1.
        period: steps between two snapshots w = x; default None, 2n/batch.
        seed: of the samples, default 0.

    Measures ``objective`` f(x) and ``residual`` ‖∇f(x)‖ over all samples, evaluated for it: take ``every=`` large.

    Source: Johnson & Zhang 2013, the procedure SVRG with option I.
    """

    lr: float
    batch: int = 1
    period: int | None = None
    seed: int = 0
    ranges: ClassVar[dict[str, str]] = {"lr": "(0, inf)", "batch": "[1, inf)", "period": "[1, inf)", "seed": "[0, inf)"}

    def init(self, problem: FiniteSum) -> SVRGState:
        """The first snapshot."""
        x = problem.start
        return SVRGState(x, x, problem.value_and_grad(x)[1], seeded(self.seed), 0)

    def step(self, problem: FiniteSum, state: SVRGState) -> SVRGState:
        """One batch at two points; now and then all samples before it."""
        x, w, full = state.x, state.w, state.full
        if state.t and state.t % (self.period or max(1, 2 * problem.n // self.batch)) == 0:
            w, full = x, problem.value_and_grad(x)[1]
        random = generator(state.random)
        i = torch.randint(problem.n, (self.batch,), generator=random).to(x.device)
        x = x - (problem.grad_of(x, i) - problem.grad_of(w, i) + full) * self.lr
        return SVRGState(x, w, full, random.get_state(), state.t + 1)

    def measure(self, problem: FiniteSum, state: SVRGState) -> dict[str, float]:
        """Over all samples."""
        f, g = problem.value_and_grad(state.x)
        return {"objective": f, "residual": float(g.norm())}
