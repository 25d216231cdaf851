"""The extragradient method: look one step ahead, and move by what is seen there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from steepest.solve.problem import Saddle
from steepest.solve.result import Status
from steepest.solve.solver import Solver


@dataclass
class ExtragradientState:
    """Point and step size."""

    x: Tensor
    lr: float


@dataclass(frozen=True)
class Extragradient(Solver[Saddle, ExtragradientState]):
    r"""Extragradient, :math:`\bar z = P(z - \eta F(z)),\ z^+ = P(z - \eta F(\bar z))`.

    Args:
        lr: η, below 1/L; default None: halved until :math:`\eta\lVert F(z) - F(\bar z)\rVert \le \nu\lVert z - \bar z\rVert`,
            beginning at twice the last one.
        nu: ν, default 0.9.

    Measures ``residual``, ‖z - P(z - F(z))‖, at the price of one more F, and ``step_size`` η; stalls when no η will do.

    Source: Korpelevich 1976; the search is Khobotov's 1987.
    """

    lr: float | None = None
    nu: float = 0.9
    ranges: ClassVar[dict[str, str]] = {"lr": "(0, inf)", "nu": "(0, 1)"}

    def init(self, problem: Saddle) -> ExtragradientState:
        """The start; the search begins at 1."""
        return ExtragradientState(problem.start, self.lr or 0.5)

    def step(self, problem: Saddle, state: ExtragradientState) -> ExtragradientState:
        """One look ahead, or several, and one move."""
        z, lr = state.x, self.lr or 2 * state.lr
        F = problem.operator(z)
        for tries in range(60 if lr else 0):
            ahead = problem.project(z - F * lr)
            if tries and torch.equal(ahead, z):  # shorter than the rounding of z
                return ExtragradientState(z, 0.0)
            there = problem.operator(ahead)
            if self.lr or lr * float((F - there).norm()) <= self.nu * float((z - ahead).norm()):
                break
            lr /= 2
        else:
            return ExtragradientState(z, 0.0)
        return ExtragradientState(problem.project(z - there * lr), lr)

    def measure(self, problem: Saddle, state: ExtragradientState) -> dict[str, float]:
        """The natural residual."""
        z = state.x
        return {"residual": float((z - problem.project(z - problem.operator(z))).norm()), "step_size": state.lr}

    def status(self, numbers: dict[str, float]) -> Status | None:
        """Stalled when no step was found."""
        return Status.STALLED if numbers["step_size"] == 0 else None
