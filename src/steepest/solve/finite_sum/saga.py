"""SAGA: gradients of single samples, corrected by the last one that was seen of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from steepest.solve.problem import FiniteSum
from steepest.solve.solver import Solver, generator, seeded


@dataclass
class SAGAState:
    """Point, the gradient last seen of each sample (n vectors), their mean, and the state of the random generator."""

    x: Tensor
    table: list[Tensor]
    mean: Tensor
    random: Tensor


@dataclass(frozen=True)
class SAGA(Solver[FiniteSum, SAGAState]):
    r"""SAGA, :math:`x^+ = x - \eta\bigl(\nabla f_i(x) - g_i + \tfrac1n\sum_j g_j\bigr)`, then :math:`g_i = \nabla f_i(x)`.

    One sample i a step, drawn with replacement; no whole gradient but that of the start, and a memory of n gradients.

    Args:
        lr: η; 1/(3L) converges for convex f_i with L-Lipschitz gradients.
        seed: of the samples, default 0.

    Measures ``objective`` f(x) and ``residual`` ‖∇f(x)‖ over all samples, evaluated for it: take ``every=`` large.

    Source: Defazio, Bach & Lacoste-Julien 2014, arXiv:1407.0202, equations 1 and 2, with h = 0.
    """

    lr: float
    seed: int = 0
    ranges: ClassVar[dict[str, str]] = {"lr": "(0, inf)", "seed": "[0, inf)"}

    def init(self, problem: FiniteSum) -> SAGAState:
        """The gradient of each sample at the start; counts n nsample."""
        x = problem.start
        table = [problem.grad_of(x, i) for i in torch.arange(problem.n, device=x.device).view(-1, 1)]
        return SAGAState(x, table, torch.stack(table).mean(0), seeded(self.seed))

    def step(self, problem: FiniteSum, state: SAGAState) -> SAGAState:
        """One gradient of one sample."""
        random, table = generator(state.random), state.table.copy()
        i = torch.randint(problem.n, (1,), generator=random)
        k, g = int(i), problem.grad_of(state.x, i.to(state.x.device))
        change = g - table[k]
        table[k] = g
        x = state.x - (change + state.mean) * self.lr
        return SAGAState(x, table, state.mean + change / problem.n, random.get_state())

    def measure(self, problem: FiniteSum, state: SAGAState) -> dict[str, float]:
        """Over all samples."""
        f, g = problem.value_and_grad(state.x)
        return {"objective": f, "residual": float(g.norm())}
