"""The proximal point method: walk along the operator of where the walk ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from steepest.solve.result import Status
from steepest.solve.saddle.problem import VariationalInequality
from steepest.solve.solver import Solver


@dataclass
class ProximalPointState:
    """Point, and the damping that the last step needed (0: the step was not found)."""

    x: Tensor
    damping: float


@dataclass(frozen=True)
class ProximalPoint(Solver[VariationalInequality, ProximalPointState]):
    r"""The proximal point method, :math:`x^+ = P(x - \gamma F(x^+))`.

    The step is found by rounds of :math:`y \leftarrow (1 - \beta) y + \beta P(x - \gamma F(y))`, with β halved whenever the
    distance between y and P(x - γF(y)) grows; they converge for a small β if I + γF is strongly monotone.

    Args:
        lr: γ; any positive one if F is monotone. Where F is negatively comonotone, ⟨F(x) - F(y), x - y⟩ ≥ -ρ‖F(x) - F(y)‖²,
            it must be larger than 2ρ.
        tolerance: the rounds end when that distance is at most this part of its first, or rounding lets it fall no more;
            default 1e-8.
        rounds: at most, default 10,000.

    Measures ``residual``, ‖x - P(x - F(x))‖, at the price of one more F, and ``damping`` β; stalls when a step was not found.

    Source: Martinet 1970; Rockafellar 1976; the bound on γ is Theorem 2.1 (PP) of Gorbunov, Taylor, Horváth & Gidel 2023,
    arXiv:2210.13831. The rounds are ours: the paper's step is implicit.
    """

    lr: float
    tolerance: float = 1e-8
    rounds: int = 10_000
    ranges: ClassVar[dict[str, str]] = {"lr": "(0, inf)", "tolerance": "(0, 1)", "rounds": "[1, inf)"}

    def init(self, problem: VariationalInequality) -> ProximalPointState:
        """The start; the first step begins undamped."""
        return ProximalPointState(problem.start, 1.0)

    def step(self, problem: VariationalInequality, state: ProximalPointState) -> ProximalPointState:
        """Rounds until the step is found."""
        x = y = state.x
        beta = good = min(1.0, 2 * state.damping)
        off = problem.project(x - problem.operator(y) * self.lr) - y
        first = far = float(off.norm())
        size, eps = float(x.norm()) + first, torch.finfo(x.dtype).eps
        for _ in range(self.rounds):
            if far <= max(self.tolerance * first, 64 * eps * size):
                return ProximalPointState(y, good)
            trial = y + off * beta
            there = problem.project(x - problem.operator(trial) * self.lr) - trial
            if float(there.norm()) < far:
                y, off, far, good = trial, there, float(there.norm()), beta
            elif beta > 1e-9 * good:
                beta /= 2
            elif far <= eps**0.5 * size:  # rounding in F lets it come no closer
                return ProximalPointState(y, good)
            else:
                break
        return ProximalPointState(x, 0.0)

    def measure(self, problem: VariationalInequality, state: ProximalPointState) -> dict[str, float]:
        """The natural residual."""
        return {"residual": problem.residual(state.x), "damping": state.damping}

    def status(self, numbers: dict[str, float]) -> Status | None:
        """Stalled when no step was found."""
        return Status.STALLED if numbers["damping"] == 0 else None
