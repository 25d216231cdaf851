"""Competitive gradients: interaction that does not vanish with the step.

On the bilinear game x'Ay (5 by 5, condition 10) a step of size η multiplies each pair of singular vectors by
1 - η(I + αJ)⁻¹J, J = σ(0, 1; -1, 0): at a fixed time ηk, exp(-ασ²/(1 + α²σ²)·time) is left for a fixed α, and all of it
for α = η → 0. Control: α = η, competitive gradient descent.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from steepest import solve
from steepest.claims.lab.base import Bound, Claim, Lines, Measured, Source

ETAS = (0.2, 0.05, 0.02)
TIME = 20.0


def game(seed: int) -> tuple[Tensor, Tensor]:
    """A with singular values from 0.5 to 5, and a start."""
    random = torch.Generator().manual_seed(seed)
    u, _, v = torch.linalg.svd(torch.randn(5, 5, generator=random, dtype=torch.float64))
    A = u @ torch.diag(torch.linspace(0.5, 5.0, 5, dtype=torch.float64)) @ v
    return A, torch.randn(2, 5, generator=random, dtype=torch.float64)


def left(seed: int, eta: float, alpha: float, steps: int) -> list[float]:
    """Distance to the solution relative to the start, along the way."""
    A, start = game(seed)
    problem = solve.Saddle(lambda x, y: x @ A @ y, start[0], start[1])
    far: list[float] = []

    def watch(now: object) -> None:
        x, y = now.x  # type: ignore[attr-defined]
        far.append(float(torch.cat([x, y]).norm() / start.norm()))

    solve.solve(
        problem,
        solve.CompetitiveGradient(lr=eta, alpha=alpha),
        max_steps=steps,
        every=max(1, steps // 40),
        callback=watch,
    )
    return far


def interaction(fast: bool, control: bool) -> Measured:
    """What is left after 600 steps, and at a fixed time with ever smaller steps."""
    seeds, steps = (1, 100) if fast else (2, 600)
    eta = 0.05
    ours = [left(s, eta, eta if control else 1.0, steps) for s in range(seeds)]
    others = {
        "CGD": [left(s, eta, eta, steps) for s in range(seeds)],
        "descent-ascent": [left(s, eta, 0.0, steps) for s in range(seeds)],
    }
    etas = ETAS[:2] if fast else ETAS
    ends = [[-math.log(left(s, e, e if control else 1.0, round(TIME / e))[-1]) for e in etas] for s in range(seeds)]
    exact = []
    for seed in range(seeds):
        A, start = game(seed)
        u, sigma, vt = torch.linalg.svd(A)
        x, y = u.T @ start[0], vt @ start[1]
        decay = torch.exp(-2 * sigma**2 / (1 + sigma**2) * TIME)
        exact.append(-math.log(float(((x**2 + y**2) * decay).sum().sqrt() / start.norm())))
    numbers = {
        "left": max(far[-1] for far in ours), "left_cgd": min(far[-1] for far in others["CGD"]),
        "left_gda": min(far[-1] for far in others["descent-ascent"]),
        "change": max(abs(row[-1] / row[-2] - 1) for row in ends),
        "limit": max(abs(row[-1] / e - 1) for row, e in zip(ends, exact, strict=True)),
    }  # fmt: skip
    t = [float(k) for k in range(0, steps + 1, max(1, steps // 40))]
    curves = {"CGO, α = 1": (t, ours), **{name: (t, rows) for name, rows in others.items()}}
    return Measured(numbers, [Lines("bilinear game, η = 0.05", "steps", "relative distance", curves, log="y")])


CLAIMS = (
    Claim(
        name="cgo-keeps-interaction",
        sentence="In continuous time CGO's predecessors degenerate to gradient descent-ascent, while CGO keeps the interaction "
        "between the players, and converges.",
        source=Source("vyas2023competitive", "abstract"),
        methods=("CompetitiveGradient",),
        rows=("001-218",),
        bounds=(
            Bound(
                "left", "≤", 1e-3, "distance after 600 steps of CGO relative to the start, η = 0.05, α = 1, worst seed"
            ),
            Bound("left_cgd", "≥", 0.05, "the same of CGD (α = η), best seed"),
            Bound("left_gda", "≥", 10.0, "the same of descent-ascent, best seed"),
            Bound(
                "change",
                "≤",
                0.05,
                "change of the decay exponent at time 20 when η falls from 0.05 to 0.02, worst seed",
            ),
            Bound("limit", "≤", 0.05, "difference of that exponent from that of the differential equation, worst seed"),
        ),
        experiment=interaction,
        control="α = η in the place of a fixed α: competitive gradient descent",
        seeds=2,
        minutes=1.0,
        untested="Rates to stationary points; α-coherent functions that are not bilinear; the optimistic variant, whose "
        "equation was not at hand.",
    ),
)
