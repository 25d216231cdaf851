"""Acceleration where the smooth part is not convex: folded concave penalties such as SCAD and MCP.

Such a penalty is λ|x| plus a smooth concave function that flattens it. The concave function goes to f, whose gradient stays
Lipschitz, and λ|x| keeps its proximal map.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from steepest.solve.problem import Differentiable
from steepest.solve.solver import Solver


def scad(x: Tensor, lam: float, a: float = 3.7) -> Tensor:
    r"""SCAD less :math:`\lambda|x|`, summed: 0 to λ, then :math:`-(|x| - \lambda)^2/2(a - 1)`, from aλ on flat with λ|x|.

    Args:
        x: any shape.
        lam: λ.
        a: above 2; default 3.7, from the source.

    Source: Fan & Li 2001; the split is Yang, Asgharian & Bhatnagar's 2022, arXiv:2009.10629.

    >>> round(float(scad(torch.tensor([0.5, -10.0]), 1.0)) + 10.5, 4)  # λ/2 and (a + 1)λ²/2
    2.85
    """
    size = x.abs()
    middle = -((size - lam).square()) / (2 * (a - 1))
    far = lam**2 * (a + 1) / 2 - lam * size
    return torch.where(size <= lam, torch.zeros_like(x), torch.where(size <= a * lam, middle, far)).sum()


def mcp(x: Tensor, lam: float, gamma: float = 3.0) -> Tensor:
    r"""MCP less :math:`\lambda|x|`, summed: :math:`-x^2/2\gamma` up to γλ, from there on flat with λ|x|.

    Args:
        x: any shape.
        lam: λ.
        gamma: γ, above 1; default 3.

    Source: Zhang 2010; the split is Yang, Asgharian & Bhatnagar's 2022, arXiv:2009.10629.
    """
    size = x.abs()
    return torch.where(size <= gamma * lam, -x.square() / (2 * gamma), gamma * lam**2 / 2 - lam * size).sum()


@dataclass
class DampedState:
    """The point that is returned, the aggressive sequence z, α, and the last gradient mapping's norm."""

    x: Tensor
    z: Tensor
    alpha: float
    residual: float


@dataclass(frozen=True)
class DampedAcceleration(Solver[Differentiable, DampedState]):
    r"""Accelerated proximal gradient for f that need not be convex, with the damping that is best for its bound.

    .. math:: \alpha_1 = 1,\quad \alpha_{k+1} = \frac{2}{1 + \sqrt{1 + 4/\alpha_k^2}},\quad y = \alpha z + (1 - \alpha) x,\quad
              z^+ = \operatorname{prox}_{(\beta/\alpha) h}(z - \tfrac\beta\alpha\nabla f(y)),\quad
              x^+ = \operatorname{prox}_{\beta h}(y - \beta\nabla f(y))

    Args:
        lr: β, below 1/L, L the Lipschitz constant of ∇f; for a convex loss and :func:`scad` the larger of the loss's and
            1/(a - 1), for :func:`mcp` and 1/γ.

    Measures ``objective`` f(x) + h(x), evaluated for it, and ``residual`` ‖x⁺ - y‖/β of the last step (inf before it).

    Source: Ghadimi & Lan 2016, Algorithm 1 for composite problems; α and β/α are Yang, Asgharian & Bhatnagar's 2022,
    arXiv:2009.10629.

    Note: the authors' code takes β = 0.99/L and begins α anew where steps grow shorter; the paper's β was not at hand, so it is
    left to you, and there is no restart.
    """

    lr: float
    ranges: ClassVar[dict[str, str]] = {"lr": "(0, inf)"}

    def init(self, problem: Differentiable) -> DampedState:
        """Both sequences at the start."""
        return DampedState(problem.start, problem.start, 1.0, float("inf"))

    def step(self, problem: Differentiable, state: DampedState) -> DampedState:
        """One gradient, two proximal maps."""
        alpha = state.alpha
        y = state.z * alpha + state.x * (1 - alpha)
        _, g = problem.value_and_grad(y)
        z = problem.prox(state.z - g * (self.lr / alpha), self.lr / alpha)
        x = problem.prox(y - g * self.lr, self.lr)
        later = 2 / (1 + (1 + 4 / alpha**2) ** 0.5)
        return DampedState(x, z, later, float((x - y).norm()) / self.lr)

    def measure(self, problem: Differentiable, state: DampedState) -> dict[str, float]:
        """One value of the objective."""
        return {"objective": problem.objective(state.x), "residual": state.residual}
