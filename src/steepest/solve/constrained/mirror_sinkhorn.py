"""Mirror Sinkhorn: a convex function of a transport plan, by one gradient and one scaling of rows or columns a step.

Mirror descent with the entropy multiplies the plan by exp(-η∇f), and would then scale rows and columns in turn until both sums
are right. Here they are scaled once, rows on one step and columns on the next, while the step goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from steepest.solve.problem import Constrained
from steepest.solve.sets import TransportPolytope
from steepest.solve.solver import Solver, generator, seeded


def rounded(P: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """A plan with the sums a and b near the nonnegative P: rows, then columns that are too large shrink, and the rest is added.

    Source: Altschuler, Weed & Rigollet 2017, Algorithm 2.

    >>> rounded(torch.tensor([[2.0, 0.0], [0.0, 0.5]]), torch.ones(2), torch.ones(2))
    tensor([[1.0000, 0.0000],
            [0.0000, 1.0000]])
    """
    P = P * (a / P.sum(1).clamp(min=torch.finfo(P.dtype).tiny)).clamp(max=1)[:, None]
    P = P * (b / P.sum(0).clamp(min=torch.finfo(P.dtype).tiny)).clamp(max=1)
    short, narrow = (a - P.sum(1)).clamp(min=0), (b - P.sum(0)).clamp(min=0)
    missing = float(narrow.sum())
    return P + torch.outer(short, narrow) / missing if missing > 0 else P


@dataclass
class MirrorSinkhornState:
    """The mean made a plan, flat; log P; the mean of P weighted by step sizes; their sum; steps; a generator's state."""

    x: Tensor
    log: Tensor
    mean: Tensor
    total: float
    t: int
    random: Tensor


@dataclass(frozen=True)
class MirrorSinkhorn(Solver[Constrained, MirrorSinkhornState]):
    r"""Mirror Sinkhorn, :math:`P' = P \odot \exp(-\eta_t\nabla f(P))`, then rows of P' scaled to a, or columns to b, in turn.

    For ``Constrained(f, P0, over=TransportPolytope(a, b))`` with P₀ > 0. The solution is the mean of P weighted by
    :math:`\eta_t = \eta/\sqrt{t}`, made a plan by :func:`rounded`.

    Args:
        lr: η; the range of ∇f is its natural unit.
        noise: standard deviation of normal numbers added to the gradient, to see what noise does; default 0.
        seed: of the noise, default 0.

    Measures ``objective`` f of the solution and ``violation``, the sum of absolute errors of the mean's sums.

    Raises:
        TypeError: in a run, the set is no transport polytope.
        ValueError: in a run, P₀ is not positive.

    Source: Ballu & Berthet 2022, arXiv:2211.10420.

    Note: the paper's constant of η and its weights of the mean were not at hand; both are the usual ones of mirror descent.
    """

    lr: float = 1.0
    noise: float = 0.0
    seed: int = 0
    ranges: ClassVar[dict[str, str]] = {"lr": "(0, inf)", "noise": "[0, inf)", "seed": "[0, inf)"}

    def init(self, problem: Constrained) -> MirrorSinkhornState:
        """The start, made a plan."""
        P, (a, b) = problem.tree(problem.start), sums(problem)
        if not bool((P > 0).all()):
            raise ValueError("MirrorSinkhorn multiplies: every entry of P0 must be positive, as in a bᵀ / Σ a")
        x = rounded(P, a, b)
        return MirrorSinkhornState(x.reshape(-1), P.log(), torch.zeros_like(P), 0.0, 0, seeded(self.seed))

    def step(self, problem: Constrained, state: MirrorSinkhornState) -> MirrorSinkhornState:
        """One gradient, one scaling."""
        (a, b), t, random = sums(problem), state.t + 1, generator(state.random)
        P, lr = state.log.exp(), self.lr / t**0.5
        g = problem.value_and_grad(P.reshape(-1))[1].view(P.shape)
        if self.noise:
            g = g + self.noise * torch.randn(g.shape, generator=random, dtype=g.dtype).to(g.device)
        log = state.log - lr * g
        problem.counts.nprox += 1
        axis, wanted = (1, a[:, None]) if t % 2 else (0, b)
        log = log - log.logsumexp(axis, keepdim=True) + wanted.log()
        mean = state.mean + (log.exp() - state.mean) * (lr / (state.total + lr))
        x = rounded(mean, a, b).reshape(-1)
        return MirrorSinkhornState(x, log, mean, state.total + lr, t, random.get_state())

    def measure(self, problem: Constrained, state: MirrorSinkhornState) -> dict[str, float]:
        """One value of f."""
        (a, b), P = sums(problem), state.mean if state.t else state.log.exp()
        off = float((P.sum(1) - a).abs().sum() + (P.sum(0) - b).abs().sum())
        return {"objective": problem.value(state.x), "violation": off}


def sums(problem: Constrained) -> tuple[Tensor, Tensor]:
    """Those that the plan must have."""
    if not isinstance(problem.over, TransportPolytope):
        raise TypeError(
            f"MirrorSinkhorn needs Constrained(f, P0, over=TransportPolytope(a, b)), got {problem.over!r:.40}"
        )
    return problem.over.a, problem.over.b
