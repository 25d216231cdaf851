"""Two coordinates at a time, chosen greedily, under a fixed sum; or the few that steepest descent in the 1-norm moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from steepest.solve.coordinate.problem import Quadratic
from steepest.solve.solver import Solver, generator, seeded

RULES = ("1-norm", "pair", "quadratic", "random")


def one_norm_step(g: Tensor, down: Tensor, up: Tensor, L: float) -> Tensor:
    r"""Minimize :math:`g^\top d + \tfrac{L}{2}\lVert d\rVert_1^2` over :math:`\sum d = 0`, :math:`-\text{down} \le d \le
    \text{up}`, in O(n log n).

    Mass goes from the coordinates with the largest g to those with the smallest. As it grows, the difference of g between the
    two that are in turn falls stepwise; it stops where that is 4L times the mass.

    Args:
        g: gradient.
        down: how far each coordinate can fall, at least 0, maybe infinite.
        up: how far each can rise.
        L: of the 1-norm, positive.

    Source: Ramesh et al. 2023, arXiv:2307.01169, its method for bounds and a sum (as in the catalogue of papers: the order and
    the stopping rule; here all breakpoints are looked at together).
    """
    order = g.argsort(stable=True)
    give, take = order.flip(0), order
    given, taken = down[give].cumsum(0), up[take].cumsum(0)
    ends = torch.cat([given, taken]).sort().values
    ends = ends[ends <= torch.minimum(given[-1], taken[-1])]
    i, j = torch.searchsorted(given, ends), torch.searchsorted(taken, ends)
    mass = torch.minimum(ends, (g[give[i]] - g[take[j]]) / (4 * L)).max().clamp(min=0)
    d, none = torch.zeros_like(g), g.new_zeros(1)
    d[give] -= torch.minimum((mass - torch.cat([none, given[:-1]])).clamp(min=0), down[give])
    d[take] += torch.minimum((mass - torch.cat([none, taken[:-1]])).clamp(min=0), up[take])
    return d


@dataclass
class GreedyPairsState:
    """Point, gradient, and the state of the random generator."""

    x: Tensor
    g: Tensor
    random: Tensor


@dataclass(frozen=True)
class GreedyPairs(Solver[Quadratic, GreedyPairsState]):
    r"""Greedy updates of two coordinates under a fixed sum, and steepest descent in the 1-norm, which is one without bounds.

    .. math:: x^+ = x + \operatorname{argmin}_{d \in D}\; g^\top d + \tfrac{L}{2}\lVert d\rVert_1^2

    D are the d with sum 0 that lead to a point within bounds ("1-norm", the paper's), of these the ones that move two
    coordinates only, over all pairs ("quadratic", GS-q, O(n²)) or one drawn ("random"), or the pair with the largest g that can
    fall and the smallest that can rise ("pair", GS-s).

    Args:
        rule: "1-norm" (default), "pair", "quadratic" or "random".
        L: of the gradient in the 1-norm, :math:`\max_{ij}|H_{ij}|`; default None, the largest diagonal element, which is the
            same for a semidefinite H. Half the largest :math:`(H_{ii} + H_{jj} - 2H_{ij})/2` is enough, too.
        seed: of the pairs, default 0.

    Measures ``objective`` f(x) and ``violation``, the largest difference of g between a coordinate that can fall and one that
    can rise (libsvm's criterion), both for nothing: the gradient is kept up to date by the columns of what moved.

    Raises:
        TypeError: in a run, the problem has no fixed sum.

    Source: Ramesh et al. 2023, arXiv:2307.01169, its rules as the catalogue of papers has them. For the dual of the support
    vector machine see :func:`svm_dual`.
    """

    rule: str = "1-norm"
    L: float | None = None
    seed: int = 0
    ranges: ClassVar[dict[str, str]] = {"L": "(0, inf)", "seed": "[0, inf)"}

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ValueError(f"GreedyPairs: rule must be one of {', '.join(map(repr, RULES))}, got {self.rule!r}")
        super().__post_init__()

    def init(self, problem: Quadratic) -> GreedyPairsState:
        """The gradient at the start."""
        if not problem.fixed_sum:
            raise TypeError("GreedyPairs keeps the sum of x: give Quadratic fixed_sum=True, or take BlockDescent")
        return GreedyPairsState(problem.start, problem.gradient(problem.start), seeded(self.seed))

    def step(self, problem: Quadratic, state: GreedyPairsState) -> GreedyPairsState:
        """Move, and read a column for each coordinate that moved."""
        x, g, random, n = state.x, state.g, generator(state.random), len(state.x)
        down, up, L = x - problem.lower, problem.upper - x, self.L or float(problem.diagonal.max())
        if self.rule == "1-norm":
            d = one_norm_step(g, down, up, L)
            moved = d.nonzero()[:, 0]
        else:
            if self.rule == "random":
                i, j = torch.randperm(n, generator=random)[:2].to(x.device)
                i, j = (i, j) if g[i] > g[j] else (j, i)
            elif self.rule == "pair":
                i, j = g.where(down > 0, -torch.inf).argmax(), g.where(up > 0, torch.inf).argmin()
            else:
                gap = g[:, None] - g
                mass = torch.minimum(torch.minimum(down[:, None], up), gap / (4 * L)).clamp(min=0)
                best = (mass * (gap - 2 * L * mass)).argmax()
                i, j = best // n, best % n
            amount = torch.minimum(torch.minimum(down[i], up[j]), (g[i] - g[j]) / (4 * L)).clamp(min=0)
            d = torch.zeros_like(x)
            d[i], d[j], moved = -amount, amount, torch.stack([i, j])
        x = (x + d).clamp(problem.lower, problem.upper)
        return GreedyPairsState(x, g + problem.columns(moved) @ d[moved], random.get_state())

    def measure(self, problem: Quadratic, state: GreedyPairsState) -> dict[str, float]:
        """From the gradient that is there."""
        return {"objective": problem.objective(state.x, state.g), "violation": problem.violation(state.x, state.g)}
