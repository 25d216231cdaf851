"""Halpern's iteration: a step, and back towards the start by ever less; its last point is as good as others' averages."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from steepest.solve.saddle.problem import VariationalInequality
from steepest.solve.saddle.single_call import evaluate
from steepest.solve.solver import Solver, generator, seeded


@dataclass
class HalpernState:
    """Point u, the start, the estimate of F(u), steps, and a generator's state."""

    x: Tensor
    start: Tensor
    g: Tensor
    t: int
    random: Tensor


@dataclass(frozen=True)
class Halpern(Solver[VariationalInequality, HalpernState]):
    r"""Halpern's iteration for a cocoercive F, by whole values or by variance-reduced ones.

    .. math:: u_{k+1} = \lambda_k u_0 + (1 - \lambda_k)(u_k - s \tilde F_k),\quad \lambda_k = \tfrac{2}{k + 4}

    where :math:`\tilde F_k` is F(u_k), or (``variance_reduced``), the estimator of PAGE: with probability
    p_k = 4/(min(k, √n) + 5) F(u_k) over all samples, else the last estimate and the mean of F_i(u_k) - F_i(u_{k-1}) over ⌈√n⌉
    samples.

    Args:
        lr: s, 1/(4L) where :math:`\langle F(u) - F(v), u - v\rangle \ge \lVert F(u) - F(v)\rVert^2/L`, on average over samples.
        variance_reduced: default False.
        seed: of the samples, default 0.

    Measures ``residual`` ‖F(u)‖, evaluated for it: take ``every=`` large.

    Raises:
        TypeError: in a run, the problem has a set; or ``variance_reduced`` and a problem without samples.

    Source: Halpern 1967; Diakonikolas 2020, for the rate; Cai, Alacaoglu & Diakonikolas 2024, arXiv:2310.02987 (Algorithm 1,
    for the cocoercive case).

    Note: the paper's λ_k, p_k and batch were not at hand: these have the order in k and n that its abstract's complexity
    needs, and are in its spirit. Its method for monotone Lipschitz operators is not here.
    """

    lr: float
    variance_reduced: bool = False
    seed: int = 0
    ranges: ClassVar[dict[str, str]] = {"lr": "(0, inf)", "seed": "[0, inf)"}

    def init(self, problem: VariationalInequality) -> HalpernState:
        """The whole operator at the start."""
        if problem.has_set:
            raise TypeError("Halpern is for problems without a set: leave out project=")
        u = problem.start
        return HalpernState(u, u, problem.operator(u), 0, seeded(self.seed))

    def step(self, problem: VariationalInequality, state: HalpernState) -> HalpernState:
        """One move, and the operator where it ends."""
        pull, random = 2 / (state.t + 4), generator(state.random)
        u = state.start * pull + (state.x - state.g * self.lr) * (1 - pull)
        k, n = state.t + 1, problem.n
        if not self.variance_reduced:
            g = problem.operator(u)
        elif n is None:
            g = evaluate(problem, u, 1, random)  # says what is missing
        elif float(torch.rand((), generator=random)) < 4 / (min(k, math.sqrt(n)) + 5):
            g = problem.operator(u)
        else:
            i = torch.randint(n, (math.ceil(math.sqrt(n)),), generator=random).to(u.device)
            g = state.g + problem.operator_of(u, i) - problem.operator_of(state.x, i)
        return HalpernState(u, state.start, g, k, random.get_state())

    def measure(self, problem: VariationalInequality, state: HalpernState) -> dict[str, float]:
        """‖F(u)‖."""
        return {"residual": problem.residual(state.x)}
