"""A partial differential equation, solved by a network from nothing but the equation and its boundary values.

Burgers' equation u_t + u u_x = ν u_xx for 0 < x < 1, 0 < t < 1: what is high moves fast and runs into what is low, and
ν keeps the front smooth. Wood 2006 (doi 10.1002/cnm.850) has a solution in closed form, so that what is held out is not
data but the truth: the squared error of u, as a part of the mean square of u itself. The loss of training (Raissi,
Perdikaris & Karniadakis 2019, doi 10.1016/j.jcp.2018.10.045) knows it only at t = 0.

Derivatives by x and t are carried through the layers together with u: the same numbers as two more backward passes
would give, and a loss that is an ordinary function of weights and batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from steepest.bench.problem import STEP, Batch, Problem, Workload

NU = 0.05  # viscosity
OFFSET = 1.05  # a of the solution, above 1; the nearer to 1, the steeper the front
INSIDE, EDGE = 256, 64  # points of a batch: inside; at t = 0, and as many at x = 0 and x = 1


def burgers(points: Tensor) -> Tensor:
    """u = 2νπ E sin πx / (a + E cos πx) with E = exp(−π²νt), for rows (x, t)."""
    x, t = math.pi * points[:, 0], points[:, 1]
    fading = torch.exp(-(math.pi**2) * NU * t)
    return 2 * NU * math.pi * fading * x.sin() / (OFFSET + fading * x.cos())


class Field(nn.Module):
    """A network with tanh and its derivatives: rows (x, t) become rows (u, u_x, u_t, u_xx)."""

    def __init__(self, width: int = 32, layers: int = 3) -> None:
        super().__init__()
        self.hidden = nn.ModuleList(nn.Linear(2 if i == 0 else width, width) for i in range(layers))
        self.last = nn.Linear(width, 1)

    def forward(self, points: Tensor) -> Tensor:
        """By the chain rule: h = tanh z has h_x = (1 − h²) z_x and h_xx = (1 − h²)(z_xx − 2 h z_x²)."""
        zero = torch.zeros_like(points)
        by_x, by_t = torch.eye(2, dtype=points.dtype).unsqueeze(1) + zero
        all_of_it = torch.stack([2 * points - 1, 2 * by_x, 2 * by_t, zero])  # the network sees −1 to 1
        for layer in self.hidden:
            assert isinstance(layer, nn.Linear)
            z, z_x, z_t, z_xx = all_of_it @ layer.weight.T
            h = torch.tanh(z + layer.bias)
            slope = 1 - h.square()
            all_of_it = torch.stack([h, slope * z_x, slope * z_t, slope * (z_xx - 2 * h * z_x.square())])
        u, *derivatives = (all_of_it @ self.last.weight.T).squeeze(-1)
        return torch.stack([u + self.last.bias, *derivatives], dim=-1)


def collocation(seed: int) -> Callable[[int], Batch]:
    """Points of step k, drawn anew: inside; at t = 0, with u; at x = 0 and x = 1, where u = 0."""

    def batch(k: int) -> Batch:
        draws = torch.rand(INSIDE + 2 * EDGE, 2, generator=torch.Generator().manual_seed(seed * 1_000_003 + k))
        inside, start, side = draws.split((INSIDE, EDGE, EDGE))
        start = start * torch.tensor([1.0, 0.0])
        side = torch.stack([side[:, 0].round(), side[:, 1]], dim=-1)
        edge = torch.cat([start, side])
        return inside, edge, torch.cat([burgers(start), torch.zeros(EDGE)])

    return batch


def residual(model: nn.Module, batch: Batch) -> Tensor:
    """Mean square of u_t + u u_x − ν u_xx inside, plus that of the error at the edges."""
    inside, edge, value = batch
    u, u_x, u_t, u_xx = model(torch.cat([inside, edge])).T
    n = len(inside)
    equation = u_t[:n] + u[:n] * u_x[:n] - NU * u_xx[:n]
    loss: Tensor = equation.square().mean() + (u[n:] - value).square().mean()
    return loss


def burgers_pinn(seed: int) -> Problem:
    """Burgers' equation by a network, from the equation, the initial and the boundary values."""
    grid = torch.linspace(0, 1, 41)
    points = torch.cartesian_prod(grid, grid)
    truth = burgers(points)

    def evaluate(model: nn.Module) -> dict[str, float]:
        error = model(points)[:, 0] - truth
        return {"loss": (error.square().mean() / truth.square().mean()).item()}

    return Problem(Field(), residual, collocation(seed), evaluate)


PHYSICS = (
    Workload("burgers-pinn", "Burgers' equation by a network that sees only the equation and its edges", burgers_pinn,
             1200 * STEP),
)  # fmt: skip
