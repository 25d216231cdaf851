"""AI-SARAH: SARAH whose step size comes from the curvature of each batch along the step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from steepest.solve.problem import FiniteSum
from steepest.solve.solver import Solver, generator, seeded


@dataclass
class AISARAHState:
    """Point, the estimate v there, ‖v‖² where the loop began, δ (one over the largest step), and a generator."""

    x: Tensor
    v: Tensor
    first: float
    delta: float
    random: Tensor


@dataclass(frozen=True)
class AISARAH(Solver[FiniteSum, AISARAHState]):
    r"""SARAH without a step size to tune, for convex finite sums: with :math:`\xi(a) = \lVert\nabla f_B(x - a v) -
    \nabla f_B(x) + v\rVert^2`, one Newton step from a = 0 and a mean over past batches as its bound.

    .. math:: \tilde a = -\xi'(0)/|\xi''(0)|,\quad \delta \leftarrow \beta\delta + (1 - \beta)/\tilde a,\quad
              x^+ = x - \min(\tilde a, 1/\delta_-)\,v,\quad v \leftarrow \nabla f_B(x^+) - \nabla f_B(x) + v

    The very first batch has no bound, and gives δ. A loop begins with v = ∇f(x), and ends where ‖v‖² < γ‖v₀‖².

    Args:
        batch: samples in B, drawn with replacement; default 64 (paper), n where that is less.
        beta: β, default 0.999 (paper).
        gamma: γ, default 1/32 (paper).
        seed: of the samples, default 0.

    Measures ``objective`` f(x) and ``residual`` ‖∇f(x)‖ over all samples, evaluated for it: take ``every=`` large.

    A batch counts four nsample for each of its samples: two gradients, and two derivatives of the gradient along v.

    Source: Shi, Sadiev, Loizou, Richtárik & Takáč 2021, arXiv:2102.09700, Algorithm 2, read in the authors' code.

    Note: δ₋ is the δ before this batch; in the code the batches of a pass are a permutation, here they are drawn anew. A loop
    whose ã is not positive (ξ rises along v: f is not convex there) ends at once.
    """

    batch: int = 64
    beta: float = 0.999
    gamma: float = 1 / 32
    seed: int = 0
    ranges: ClassVar[dict[str, str]] = {"batch": "[1, inf)", "beta": "[0, 1)", "gamma": "(0, 1)", "seed": "[0, inf)"}

    def init(self, problem: FiniteSum) -> AISARAHState:
        """Nothing is evaluated yet."""
        x = problem.start
        return AISARAHState(x, torch.zeros_like(x), math.inf, math.nan, seeded(self.seed))

    def step(self, problem: FiniteSum, state: AISARAHState) -> AISARAHState:
        """A batch; all samples before it where a loop has ended."""
        x, v, first, delta, random = state.x, state.v, state.first, state.delta, generator(state.random)
        if not float(v.square().sum()) >= self.gamma * first:
            v = problem.value_and_grad(x)[1]
            first = float(v.square().sum())
        i = torch.randint(problem.n, (min(self.batch, problem.n),), generator=random).to(x.device)
        g, Hv, Tvv = problem.grad_along(x, v, i)
        curvature = float(Hv.square().sum() + v @ Tvv)  # ξ''(0)/2, and ξ'(0)/2 = -vᵀHv
        newton = float(v @ Hv) / abs(curvature) if curvature else 0.0
        if not newton > 0:
            return AISARAHState(x, v, math.inf, delta, random.get_state())
        if math.isnan(delta):
            a = newton
            delta = 1 / newton
        else:
            a = min(newton, 1 / delta)
            delta = self.beta * delta + (1 - self.beta) / newton
        x = x - v * a
        return AISARAHState(x, v + problem.grad_of(x, i) - g, first, delta, random.get_state())

    def measure(self, problem: FiniteSum, state: AISARAHState) -> dict[str, float]:
        """Over all samples."""
        f, g = problem.value_and_grad(state.x)
        return {"objective": f, "residual": float(g.norm())}
