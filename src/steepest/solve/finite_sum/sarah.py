"""SARAH: an estimate of the gradient that is carried from point to point by gradients of few samples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from steepest.solve.problem import FiniteSum
from steepest.solve.solver import Solver, generator, seeded


@dataclass
class SARAHState:
    """Point, the one before, the estimate v there, ‖v‖² where all samples were last seen, steps since, and a generator."""

    x: Tensor
    before: Tensor
    v: Tensor
    first: float
    k: int
    random: Tensor


@dataclass(frozen=True)
class SARAH(Solver[FiniteSum, SARAHState]):
    r"""The stochastic recursive gradient, :math:`x^+ = x - \eta v`.

    .. math:: v = \nabla f(x)\ \text{where a loop begins, else}\quad v \leftarrow \nabla f_B(x) - \nabla f_B(x_-) + v

    A loop ends after ``period`` steps, or where :math:`\lVert v\rVert^2 \le \gamma \lVert v_0\rVert^2` with v₀ its first v.

    Args:
        lr: η.
        batch: samples in B, drawn with replacement; default 1.
        period: steps of a loop; default None, 2n/batch as in SVRG.
        gamma: γ; default 0, SARAH; 1/8 is the paper's SARAH+.
        seed: of the samples, default 0.

    Measures ``objective`` f(x) and ``residual`` ‖∇f(x)‖ over all samples, evaluated for it: take ``every=`` large.

    Source: Nguyen, Liu, Scheinberg & Takáč 2017, arXiv:1703.00102, Algorithms 1 and 2.

    Note: theory takes a random point of a loop for the start of the next; here, as in the paper's experiments, it is the last.
    """

    lr: float
    batch: int = 1
    period: int | None = None
    gamma: float = 0.0
    seed: int = 0
    ranges: ClassVar[dict[str, str]] = {"lr": "(0, inf)", "batch": "[1, inf)", "period": "[1, inf)", "gamma": "[0, 1)",
                                        "seed": "[0, inf)"}  # fmt: skip

    def init(self, problem: FiniteSum) -> SARAHState:
        """Nothing is evaluated yet."""
        x = problem.start
        return SARAHState(x, x, torch.zeros_like(x), math.inf, 0, seeded(self.seed))

    def step(self, problem: FiniteSum, state: SARAHState) -> SARAHState:
        """All samples where a loop begins, else a batch at two points."""
        x, v, first, k, random = state.x, state.v, state.first, state.k, generator(state.random)
        period = self.period or max(1, 2 * problem.n // self.batch)
        if k % period == 0 or float(v.square().sum()) <= self.gamma * first:
            v, k = problem.value_and_grad(x)[1], 0
            first = float(v.square().sum())
        else:
            i = torch.randint(problem.n, (self.batch,), generator=random).to(x.device)
            v = problem.grad_of(x, i) - problem.grad_of(state.before, i) + v
        return SARAHState(x - v * self.lr, x, v, first, k + 1, random.get_state())

    def measure(self, problem: FiniteSum, state: SARAHState) -> dict[str, float]:
        """Over all samples."""
        f, g = problem.value_and_grad(state.x)
        return {"objective": f, "residual": float(g.norm())}
