"""PAGE: a coin decides between all samples, and a correction of the last estimate by a few."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from steepest.solve.problem import FiniteSum
from steepest.solve.solver import Solver, generator, seeded


@dataclass
class PAGEState:
    """Point, the estimate of the gradient there, and the state of the random generator."""

    x: Tensor
    g: Tensor
    random: Tensor


@dataclass(frozen=True)
class PAGE(Solver[FiniteSum, PAGEState]):
    r"""The probabilistic gradient estimator, :math:`x^+ = x - \eta g`, for nonconvex f.

    .. math:: g^+ = \nabla f(x^+)\ \text{with probability } p,\ \text{else}\quad g + \nabla f_B(x^+) - \nabla f_B(x)

    Args:
        lr: η; :math:`1/(L(1 + \sqrt{(1-p)/(pb)}))` with b samples in B is the theorem's.
        batch: b, drawn with replacement; default None, ⌊√n⌋.
        p: default None, b/(n + b), with which both cases cost alike.
        seed: of the samples and the coin, default 0.

    Measures ``objective`` f(x) and ``residual`` ‖∇f(x)‖ over all samples, evaluated for it: take ``every=`` large.

    Source: Li, Bao, Zhang & Richtárik 2021, arXiv:2008.10898, Algorithm 1 with the whole sum for the large batch.
    """

    lr: float
    batch: int | None = None
    p: float | None = None
    seed: int = 0
    ranges: ClassVar[dict[str, str]] = {"lr": "(0, inf)", "batch": "[1, inf)", "p": "(0, 1]", "seed": "[0, inf)"}

    def init(self, problem: FiniteSum) -> PAGEState:
        """All samples at the start."""
        x = problem.start
        return PAGEState(x, problem.value_and_grad(x)[1], seeded(self.seed))

    def step(self, problem: FiniteSum, state: PAGEState) -> PAGEState:
        """Move, then estimate the gradient where that led."""
        random, x = generator(state.random), state.x - state.g * self.lr
        b = self.batch or math.isqrt(problem.n)
        if float(torch.rand((), generator=random)) < (self.p or b / (problem.n + b)):
            g = problem.value_and_grad(x)[1]
        else:
            i = torch.randint(problem.n, (b,), generator=random).to(x.device)
            g = state.g + problem.grad_of(x, i) - problem.grad_of(state.x, i)
        return PAGEState(x, g, random.get_state())

    def measure(self, problem: FiniteSum, state: PAGEState) -> dict[str, float]:
        """Over all samples."""
        f, g = problem.value_and_grad(state.x)
        return {"objective": f, "residual": float(g.norm())}
