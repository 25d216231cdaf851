"""The extragradient method: look one step ahead, and move by what is seen there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from steepest.solve.result import Status
from steepest.solve.saddle.problem import VariationalInequality
from steepest.solve.solver import Solver


@dataclass
class ExtragradientState:
    """Point and step size."""

    x: Tensor
    lr: float


@dataclass(frozen=True)
class Extragradient(Solver[VariationalInequality, ExtragradientState]):
    r"""Extragradient, :math:`\bar z = P(z - a\eta F(z)),\ z^+ = P(z - \eta F(\bar z))`.

    Args:
        lr: η, below 1/L; default None: halved until :math:`\eta\lVert F(z) - F(\bar z)\rVert \le \nu\lVert z - \bar z\rVert`,
            beginning at twice the last one.
        nu: ν, default 0.9.
        ahead: a, default 1; needs ``lr``. Where F is negatively comonotone, ⟨F(z) - F(z'), z - z'⟩ ≥ -ρ‖F(z) - F(z')‖² with
            ρ < 1/(2L), a long first step of 1/L and a short second one arrive where two equal ones diverge.

    Measures ``residual``, ‖z - P(z - F(z))‖, at the price of one more F, and ``step_size`` η; stalls when no η will do.

    Raises:
        ValueError: ``ahead`` without ``lr``.

    Source: Korpelevich 1976; the search is Khobotov's 1987; two step sizes as in Gorbunov, Taylor, Horváth & Gidel 2023,
    arXiv:2210.13831 (EG, γ₁ = aη and γ₂ = η).
    """

    lr: float | None = None
    nu: float = 0.9
    ahead: float = 1.0
    ranges: ClassVar[dict[str, str]] = {"lr": "(0, inf)", "nu": "(0, 1)", "ahead": "(0, inf)"}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lr is None and self.ahead != 1:
            raise ValueError(
                f"Extragradient: ahead={self.ahead:g} is in units of a step size that is given: give lr, too"
            )

    def init(self, problem: VariationalInequality) -> ExtragradientState:
        """The start; the search begins at 1."""
        return ExtragradientState(problem.start, self.lr or 0.5)

    def step(self, problem: VariationalInequality, state: ExtragradientState) -> ExtragradientState:
        """One look ahead, or several, and one move."""
        z, lr = state.x, self.lr or 2 * state.lr
        F = problem.operator(z)
        for tries in range(60 if lr else 0):
            ahead = problem.project(z - F * (lr * self.ahead))
            if tries and torch.equal(ahead, z):  # shorter than the rounding of z
                return ExtragradientState(z, 0.0)
            there = problem.operator(ahead)
            if self.lr or lr * float((F - there).norm()) <= self.nu * float((z - ahead).norm()):
                break
            lr /= 2
        else:
            return ExtragradientState(z, 0.0)
        return ExtragradientState(problem.project(z - there * lr), lr)

    def measure(self, problem: VariationalInequality, state: ExtragradientState) -> dict[str, float]:
        """The natural residual."""
        return {"residual": problem.residual(state.x), "step_size": state.lr}

    def status(self, numbers: dict[str, float]) -> Status | None:
        """Stalled when no step was found."""
        return Status.STALLED if numbers["step_size"] == 0 else None
