"""MeZO pays for the effective rank of the curvature, not for the number of weights, and keeps nothing in memory.

Quadratics with curvatures 1/i²: the trace, which is the effective rank here, is the same for 100 and for 10,000 weights.
At one learning rate for all, the steps to a tenth of the first loss must not grow with the dimension. The control has a
flat spectrum, whose effective rank is the dimension; its learning rate falls with the trace as theory asks.
"""

from __future__ import annotations

import statistics

import torch

import steepest
from steepest.claims.lab.base import Bound, Claim, Lines, Measured, Source
from steepest.claims.lab.tasks import state_bytes

SIZES = (100, 1_000, 10_000)


def descend(size: int, seed: int, flat: bool, most: int) -> tuple[list[float], int, int]:
    """Losses relative to the first until a tenth is reached, the steps, and the bytes of gradients and state."""
    curvature = torch.ones(size) if flat else torch.arange(1, size + 1) ** -2.0
    x = torch.nn.Parameter(torch.ones(size))
    opt = steepest.MeZO([x], lr=0.25 / float(curvature.sum()), radius=1e-3, seed=seed)
    first = float(0.5 * curvature.sum())
    losses = []
    for k in range(most):
        losses.append(float(0.5 * (curvature * x.detach() ** 2).sum()) / first)
        if losses[-1] <= 0.1:
            return losses, k, state_bytes(opt) + (0 if x.grad is None else 4 * size)
        opt.step(lambda: 0.5 * (curvature * x * x).sum())
    return losses, most, state_bytes(opt) + (0 if x.grad is None else 4 * size)


def experiment(fast: bool, control: bool) -> Measured:
    """Steps at the largest dimension relative to the smallest, medians over seeds."""
    seeds, most = (3, 800) if fast else (15, 5_000)
    sizes = SIZES[:2] if fast else SIZES
    runs = {size: [descend(size, s, control, most) for s in range(seeds)] for size in sizes}
    middle = {size: statistics.median(r[1] for r in row) for size, row in runs.items()}
    numbers = {
        "growth": max(middle.values()) / middle[sizes[0]],
        "extra_bytes": float(max(r[2] for row in runs.values() for r in row)),
        **{f"steps at {size}": float(m) for size, m in middle.items()},
    }
    longest = max(len(r[0]) for row in runs.values() for r in row)
    curves = {
        f"{size:,} weights": ([float(k) for k in range(longest)], [r[0] for r in row]) for size, row in runs.items()
    }
    return Measured(numbers, [Lines("loss relative to the start", "steps", "loss", curves, {"goal": 0.1}, log="y")])


CLAIMS = (
    Claim(
        name="mezo-effective-rank",
        sentence="Zeroth-order descent is slowed down by the effective rank of the Hessian, not by the number of parameters, "
        "and needs no memory beyond inference.",
        source=Source("malladi2023mezo", "abstract and the theorem on the local effective rank"),
        methods=("MeZO",),
        bounds=(
            Bound(
                "growth",
                "≤",
                1.5,
                "steps to a tenth of the loss, relative to 100 weights, median over seeds, worst size",
            ),
            Bound("extra_bytes", "≤", 0.0, "bytes of gradients and optimizer state"),
        ),
        experiment=experiment,
        control="a flat spectrum, whose effective rank is the dimension",
        seeds=15,
        minutes=0.7,
        untested="Fine-tuning of language models, where the effective rank is a conjecture about them.",
    ),
)
