"""Extragradient's look ahead for half the price: one value of the operator a step, and the last one gives the point ahead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from steepest.solve.saddle.problem import VariationalInequality
from steepest.solve.solver import Solver, generator, seeded

SCHEMES = ("past", "optimistic", "reflected")


@dataclass
class SingleCallState:
    """Point x, the point before it, the last value of the operator, the mean of the points where it was evaluated weighted by
    step sizes, the sum of these, steps, and a generator's state.
    """

    x: Tensor
    before: Tensor
    g: Tensor
    mean: Tensor
    total: float
    t: int
    random: Tensor


def evaluate(problem: VariationalInequality, z: Tensor, batch: int | None, random: torch.Generator) -> Tensor:
    """F(z), or its mean over a batch drawn with replacement."""
    if batch is None:
        return problem.operator(z)
    if problem.n is None:
        return problem.operator_of(z, torch.arange(0))  # says what is missing
    return problem.operator_of(z, torch.randint(problem.n, (batch,), generator=random).to(z.device))


@dataclass(frozen=True)
class SingleCall(Solver[VariationalInequality, SingleCallState]):
    r"""Extragradient with one value of the operator a step, in three forms.

    .. math:: \text{past:}\quad & \bar x_t = P(x_t - a\gamma_t F(\bar x_{t-1})),\quad x_{t+1} = P(x_t - \gamma_t F(\bar x_t)) \\
              \text{optimistic:}\quad & \bar x_t = P(x_t - a\gamma_t F(\bar x_{t-1})),\quad
              x_{t+1} = \bar x_t + a\gamma_t F(\bar x_{t-1}) - \gamma_t F(\bar x_t) \\
              \text{reflected:}\quad & \bar x_t = 2x_t - x_{t-1},\quad x_{t+1} = P(x_t - \gamma_t F(\bar x_t))

    Args:
        lr: γ, below a constant over L.
        scheme: "past" (default), "optimistic" or "reflected".
        ahead: a, default 1; above 1 for negatively comonotone F. The reflected scheme has none.
        batch: samples a step, drawn with replacement; default None, all.
        offset: b of γ_t = γ/(t + b), t = 1, 2, …, for samples; default None, γ_t = γ.
        seed: of the samples, default 0.

    Measures ``residual``, ‖x - P(x - F(x))‖, at the price of one more F. ``state["values"]["mean"]``, flat, is the mean of
    :math:`\bar x_t` weighted by γ_t, of which the rate O(1/t) of monotone problems speaks; "optimistic" may leave the set by a
    little, its mean does not.

    Raises:
        ValueError: an unknown scheme, or ``ahead`` with "reflected".
        TypeError: in a run, ``batch`` and a problem without samples.

    Source: Hsieh, Iutzeler, Malick & Mertikopoulos 2019, arXiv:1908.08465 (PEG, OG, RG; the mean and γ/(t + b) as in its
    theorems); with a = γ₁/γ₂, "past" is OG of Gorbunov et al. 2023, arXiv:2210.13831.

    Note: F(x₋₁) is F at the start, which costs one value more at the beginning.
    """

    lr: float
    scheme: str = "past"
    ahead: float = 1.0
    batch: int | None = None
    offset: float | None = None
    seed: int = 0
    ranges: ClassVar[dict[str, str]] = {"lr": "(0, inf)", "ahead": "(0, inf)", "batch": "[1, inf)", "offset": "[0, inf)",
                                        "seed": "[0, inf)"}  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scheme not in SCHEMES:
            raise ValueError(f"SingleCall: scheme must be one of {', '.join(map(repr, SCHEMES))}, got {self.scheme!r}")
        if self.scheme == "reflected" and self.ahead != 1:
            raise ValueError(f"SingleCall: the reflected scheme has no ahead, got {self.ahead:g}")

    def init(self, problem: VariationalInequality) -> SingleCallState:
        """The operator at the start."""
        x, random = problem.start, generator(seeded(self.seed))
        g = evaluate(problem, x, self.batch, random)
        return SingleCallState(x, x, g, torch.zeros_like(x), 0.0, 0, random.get_state())

    def step(self, problem: VariationalInequality, state: SingleCallState) -> SingleCallState:
        """One value of the operator, one move."""
        x, random, t = state.x, generator(state.random), state.t + 1
        lr = self.lr if self.offset is None else self.lr / (t + self.offset)
        reflected = self.scheme == "reflected"
        there = 2 * x - state.before if reflected else problem.project(x - state.g * (self.ahead * lr))
        g = evaluate(problem, there, self.batch, random)
        new = there + (state.g * self.ahead - g) * lr if self.scheme == "optimistic" else problem.project(x - g * lr)
        total = state.total + lr
        return SingleCallState(
            new, x, g, state.mean + (there - state.mean) * (lr / total), total, t, random.get_state()
        )

    def measure(self, problem: VariationalInequality, state: SingleCallState) -> dict[str, float]:
        """The natural residual."""
        return {"residual": problem.residual(state.x)}
