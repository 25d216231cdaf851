"""Lion-K: decoupled decay is a constraint, and which one says K.

A quadratic whose minimum lies outside of the set, from a start outside of it, without noise: K = ‖·‖₁ (Lion), ‖·‖₂ and Huber's
function, each against the minimizer of f + K*(λx)/λ, which is known exactly. The control adds the decay to the gradient.
"""

from __future__ import annotations

from typing import Any

import torch

import steepest
from steepest.claims.lab.base import Bound, Claim, Lines, Measured, Source

LAMBDA, E = 0.5, 1.0
H = torch.logspace(-0.5, 0.5, 20, dtype=torch.float64)
A = torch.linspace(-4, 4, 20, dtype=torch.float64).roll(7)


def solution(K: str) -> torch.Tensor:
    """The minimizer of ½ Σ h (x - a)² + K*(λx)/λ."""
    if K == "l1":
        return A.clamp(-1 / LAMBDA, 1 / LAMBDA)
    if K == "huber":  # K*(y) = e‖y‖²/2 where |y| ≤ 1
        return (H * A / (H + E * LAMBDA)).clamp(-1 / LAMBDA, 1 / LAMBDA)
    low, high = 0.0, 1e3  # the multiplier μ of ‖x‖ ≤ 1/λ
    for _ in range(100):
        mu = (low + high) / 2
        low, high = (mu, high) if (H * A / (H + mu)).norm() > 1 / LAMBDA else (low, mu)
    return H * A / (H + low)


def walk(K: Any, steps: int, coupled: bool) -> list[float]:
    """The largest distance of a coordinate to the solution, along the way."""
    x = torch.nn.Parameter(torch.full((20,), 6.0, dtype=torch.float64))
    rules: dict[str, Any] = {
        "l1": steepest.direction.Lion(),
        "l2": steepest.direction.LionK(),
        "huber": steepest.direction.LionHuber(e=E),
    }
    inner = rules[K]
    parts: dict[str, Any] = {"direction": inner, "geometry": steepest.geometry.Decay(weight_decay=LAMBDA)}
    if coupled:
        parts = {"direction": steepest.direction.Coupled(inner, weight_decay=LAMBDA)}
    opt, want, far = steepest.Optimizer([x], lr=2e-3, **parts), solution(K), []
    for k in range(steps):
        opt.step(lambda: (H * (x - A) ** 2).sum() / 2)
        if k % (steps // 50) == 0 or k == steps - 1:
            far.append(float((x.detach() - want).abs().max()))
    return far


def experiment(fast: bool, control: bool) -> Measured:
    """Distances to the solutions at the end, the worst of three K."""
    steps = 500 if fast else 10_000
    ways = {K: walk(K, steps, control) for K in ("l1", "l2", "huber")}
    numbers = {"distance": max(way[-1] for way in ways.values())} | {
        f"distance {K}": way[-1] for K, way in ways.items()
    }
    curves = {K: ([k * steps / (len(way) - 1) for k in range(len(way))], [way]) for K, way in ways.items()}
    return Measured(numbers, [Lines("distance to the solution", "steps", "max |x - x*|", curves, log="y")])


CLAIMS = (
    Claim(
        name="lionk-constrained",
        sentence="Lion with decoupled decay λ minimizes f(x) subject to ‖x‖_∞ ≤ 1/λ, and Lion-K minimizes f(x) + K*(λx)/λ.",
        source=Source("chen2024lion", "abstract and the main theorem"),
        methods=("Lion", "LionK"),
        rows=("002-04",),
        bounds=(
            Bound("distance", "≤", 0.02, "largest distance of a coordinate to the known solution, worst of three K"),
        ),
        experiment=experiment,
        control="decay added to the gradient",
        seeds=1,
        minutes=0.3,
        untested="Gradients with noise; the Lyapunov function along the way; K of other kinds.",
        note="AdamW is no control: without noise it ends in the same box.",
    ),
)
