"""Two domains of 10,000 and 100 samples: drawn by temperature, or drawn in proportion and weighed.

Linear regression, the domains with different slopes, batches of 32, at a fixed point. The mean gradients of both ways over many
batches are compared with the exact one, and the variances with each other. The samplers are the library's. The control has
τ = 1, where both are the same.
"""

from __future__ import annotations

import torch
from torch import Tensor

import steepest
from steepest.claims.lab.base import Bound, Claim, Dots, Measured, Source

SIZES, BATCH, DIMENSION = (10_000, 100), 32, 5
TAU = 100.0  # both domains alike, but for two parts in a hundred


def gradients(seed: int, tau: float, epochs: int) -> tuple[float, float, float, float]:
    """Variances of a batch's gradient by drawing and by weighing, and errors of their means in standard errors."""
    g = torch.Generator().manual_seed(seed)
    n = sum(SIZES)
    domain = torch.repeat_interleave(torch.arange(2), torch.tensor(SIZES))
    x = torch.randn(n, DIMENSION, generator=g, dtype=torch.float64)
    slope = torch.randn(2, DIMENSION, generator=g, dtype=torch.float64)
    y = (x * slope[domain]).sum(1) + 0.1 * torch.randn(n, generator=g, dtype=torch.float64)
    each = -y[:, None] * x  # of the squares, halved, at w = 0
    weights = steepest.weighting.scalarization(torch.tensor(SIZES), tau)[domain]
    exact = (weights[:, None] * each).mean(0)

    def batches(sampler: torch.utils.data.Sampler[int], w: Tensor) -> tuple[float, float]:
        rows = torch.tensor([i for _ in range(epochs) for i in sampler])
        means = (w[rows, None] * each[rows])[: len(rows) // BATCH * BATCH].view(-1, BATCH, DIMENSION).mean(1)
        variance = means.var(0)
        return float(variance.sum()), float(((means.mean(0) - exact) / (variance / len(means)).sqrt()).abs().max())

    drawn = batches(steepest.weighting.Temperature(domain, tau, seed=seed), torch.ones(n, dtype=torch.float64))
    weighed = batches(steepest.weighting.Shuffled(n, seed=seed), weights)
    return drawn[0], weighed[0], drawn[1], weighed[1]


def experiment(fast: bool, control: bool) -> Measured:
    """Ratios of variances, the worst seed judged."""
    seeds, epochs = (1, 4) if fast else (10, 20)
    found = [gradients(s, 1.0 if control else TAU, epochs) for s in range(seeds)]
    ratios = [weighed / drawn for drawn, weighed, _, _ in found]
    numbers = {"ratio": min(ratios), "ratio mean": sum(ratios) / seeds, "error": max(max(f[2:]) for f in found)}
    columns = {"drawn": [f[0] for f in found], "weighed": [f[1] for f in found]}
    panel = Dots("variance of a batch's gradient", "variance", columns, log="y")
    return Measured(numbers, [panel])


CLAIMS = (
    Claim(
        name="temperature-less-variance",
        sentence="Drawing small domains more often has the mean gradient of weighing their losses, and much less variance.",
        source=Source("li2024upsample", "abstract: equivalent under full gradient descent, variance under stochastic"),
        methods=("Temperature", "scalarization"),
        rows=("002-25",),
        bounds=(Bound("ratio", "≥", 10.0, "variance of weighing over that of drawing, worst seed"),),
        experiment=experiment,
        control="τ = 1, where every weight is 1",
        seeds=10,
        minutes=1.0,
        untested="translation and language models; that lower variance makes training faster, overfitting, and Cooldown.",
        regime=(
            Bound(
                "error",
                "<",
                5.0,
                "standard errors of the mean gradients, worst coordinate and seed",
            ),
        ),
    ),
)
