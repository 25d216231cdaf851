"""Lookahead lowers the variance of its inner optimizer by a factor that is known in closed form.

On the noisy quadratic ½A(x - c)², c ~ N(0, 1), SGD fluctuates for ever with variance V = γ²A²/(1 - (1-γA)²). With
r = (1-γA)^k Lookahead's slow weights have α²(1-r²)/(1-(1-α+αr)²) · V. Thousands of independent chains at each of four
curvatures measure it in one tensor. A second claim looks at a net: how much does its loss depend on the learning rate?
The control lets the slow weights jump all the way (α = 1): then nothing is gained.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

import steepest
from steepest.claims.lab.base import Bound, Claim, Dots, Lines, Measured, Source
from steepest.claims.lab.tasks import digits, fit

CURVATURES, LR, ALPHA, K = (0.1, 0.3, 1.0, 1.5), 0.5, 0.5, 5


def variance(alpha: float | None, chains: int, rounds: int) -> list[float]:
    """Steady-state variance at synchronisations for each curvature; alpha None: plain SGD."""
    A = torch.tensor(CURVATURES, dtype=torch.float64)[:, None]
    x = torch.nn.Parameter(torch.zeros(len(CURVATURES), chains, dtype=torch.float64))
    point = None if alpha is None else steepest.point.Lookahead(alpha=alpha, k=K)
    opt = steepest.Optimizer([x], lr=LR, point=point)
    generator = torch.Generator().manual_seed(7)
    squares = []
    for k in range(rounds * K):
        noise = torch.randn(x.shape, generator=generator, dtype=torch.float64)
        x.grad = A * (x.detach() - noise)
        opt.step()
        if (k + 1) % K == 0 and k >= rounds * K // 2:
            squares.append((x.detach() ** 2).mean(1))
    return [float(v) for v in torch.stack(squares).mean(0)]


def experiment(fast: bool, control: bool) -> Measured:
    """Measured and predicted variances, relative to SGD's."""
    chains, rounds = (1000, 80) if fast else (4000, 300)
    sgd = variance(None, chains, rounds)
    ours = variance(1.0 if control else ALPHA, chains, rounds)
    predicted = []
    for A in CURVATURES:
        r = (1 - LR * A) ** K
        v = (LR * A) ** 2 / (1 - (1 - LR * A) ** 2)
        predicted.append(v * ALPHA**2 * (1 - r * r) / (1 - (1 - ALPHA + ALPHA * r) ** 2))
    numbers = {
        "off_formula": max(abs(v / p - 1) for v, p in zip(ours, predicted, strict=True)),
        "ratio_worst": max(v / s for v, s in zip(ours, sgd, strict=True)),
        **{f"ratio_{A:g}": v / s for A, v, s in zip(CURVATURES, ours, sgd, strict=True)},
    }
    columns = {"Lookahead": ours, "formula": predicted, "SGD": sgd}
    return Measured(numbers, [Dots("steady-state variance, one line a curvature", "variance", columns, log="y")])


LRS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)


def robustness(fast: bool, control: bool) -> Measured:
    """Spread over learning rates of the digits net's logarithmic training loss, relative to AdamW's."""
    seeds, epochs = (1, 5) if fast else (5, 10)
    task = digits(64, batch=50)
    alpha = 1.0 if control else ALPHA

    def losses(make: Callable[..., Any]) -> list[list[float]]:
        return [[task.cost(fit(task, partial(make, lr=lr), s, epochs * task.epoch).model, task.train) for lr in LRS]
                for s in range(seeds)]  # fmt: skip

    ours = losses(lambda params, lr: steepest.LookaheadAdamW(params, lr=lr, alpha=alpha, k=K))
    adam = losses(lambda params, lr: steepest.AdamW(params, lr=lr))
    spreads = [[statistics.pstdev(map(math.log, row)) for row in rows] for rows in (ours, adam)]
    ratios = [a / b for a, b in zip(*spreads, strict=True)]
    numbers = {"spread_worst": max(ratios), "spread": statistics.median(ratios)}
    curves = {"Lookahead": (LRS, ours), "AdamW": (LRS, adam)}
    return Measured(numbers, [Lines("training loss after training", "learning rate", "loss", curves, log="xy")])


CLAIMS = (
    Claim(
        name="lookahead-variance",
        sentence="Lookahead has a lower steady-state variance than its inner optimizer at the same learning rate, by a "
        "factor known in closed form.",
        source=Source("zhang2019lookahead", "noisy quadratic model"),
        methods=("LookaheadAdamW",),
        rows=("001-095",),
        bounds=(
            Bound("off_formula", "≤", 0.05, "relative difference from the formula, worst of four curvatures"),
            Bound("ratio_worst", "<", 1.0, "variance relative to SGD's, worst of four curvatures"),
        ),
        experiment=experiment,
        control="α = 1, the slow weights jump all the way",
        seeds=4000,
        minutes=0.3,
        untested="Faster training on ImageNet, translation and Penn Treebank. Lookahead goes around SGD here.",
    ),
    Claim(
        name="lookahead-robust",
        sentence="Lookahead is less sensitive than Adam to the choice of the inner learning rate.",
        source=Source("zhang2019lookahead", "abstract and the section on robustness"),
        methods=("LookaheadAdamW",),
        rows=("001-095",),
        bounds=(Bound("spread_worst", "<", 1.0, "standard deviation of log training loss over six learning rates, relative to "
                      "AdamW's, worst seed"),),
        experiment=robustness,
        control="α = 1, the slow weights jump all the way",
        seeds=5,
        minutes=0.5,
        untested="CIFAR and language models; sensitivity to momentum.",
    ),
)  # fmt: skip
