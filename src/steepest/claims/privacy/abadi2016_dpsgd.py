"""A network learns the digits under a modest privacy budget.

A net of 64 units; batches by Poisson sampling, 200 steps, σ such that ε < 8 at δ = 1e-4, by the moments accountant in its form
of Rényi (Mironov et al. 2019), which is worked out here. Without privacy the same net and steps have the same three learning
rates to choose from, on another split. The control clips the gradient of the batch, which one row may then turn around, so that
the same privacy takes a noise that is not divided by the number of rows.
"""

from __future__ import annotations

import math
import statistics
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

import steepest
from steepest.claims.lab.base import Bound, Claim, Dots, Measured, Source
from steepest.claims.lab.tasks import digits

LOT, NOISE, DELTA = 128, 1.5, 1e-4
RATES = (0.3, 1.0, 3.0)


def epsilon(share: float, noise: float, steps: int, delta: float) -> float:
    """Of the Gaussian mechanism on Poisson samples: the best of the integer orders, composed over all steps."""
    found = []
    for order in range(2, 65):
        terms = [math.lgamma(order + 1) - math.lgamma(k + 1) - math.lgamma(order - k + 1) + (order - k) * math.log1p(-share)
                 + k * math.log(share) + (k * k - k) / (2 * noise**2) for k in range(order + 1)]  # fmt: skip
        top = max(terms)
        divergence = (top + math.log(sum(math.exp(t - top) for t in terms))) / (order - 1)
        found.append(steps * divergence + math.log(1 / delta) / (order - 1))
    return min(found)


@cache
def accuracy(split: int, kind: str, lr: float, steps: int) -> float:
    """Held-out, in per cent."""
    task = digits(64, split=split)
    (x, y), (tx, ty) = task.train, task.test
    model, g = task.model(split), torch.Generator().manual_seed(split)
    private = steepest.oracle.PrivateRows(bound=1.0, noise=NOISE, lot=LOT, seed=split)
    opt = steepest.SGD(model.parameters(), lr=lr, oracle=private if kind == "private" else steepest.oracle.Oracle())

    def losses(i: Tensor) -> Tensor:
        return F.cross_entropy(model(x[i]), y[i], reduction="none")

    for _ in range(steps):
        rows = steepest.Rows(losses, (torch.rand(len(x), generator=g) < LOT / len(x)).nonzero().squeeze(1))
        if kind == "clipped as a whole":
            opt.zero_grad()
            rows().backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for p in model.parameters():
                p.grad = None if p.grad is None else p.grad + NOISE * torch.randn(p.shape, generator=g)
            opt.step()
        else:
            opt.step(rows)
    with torch.no_grad():
        return 100 * float((model(tx).argmax(1) == ty).double().mean())


def experiment(fast: bool, control: bool) -> Measured:
    """Accuracies by splits of the data, at the learning rate that is best on a split of its own."""
    judge, steps = (range(2), 25) if fast else (range(5), 200)
    kinds = ("clipped as a whole" if control else "private", "without privacy")
    found = {}
    for kind in kinds:
        best = max(RATES, key=lambda lr: accuracy(9, kind, lr, steps))
        found[kind] = [accuracy(s, kind, best, steps) for s in judge]
    ours, plain = (statistics.mean(v) for v in found.values())
    rows = len(digits(64).train[0])
    numbers = {"accuracy": ours, "cost": plain - ours, "epsilon": epsilon(LOT / rows, NOISE, 200, DELTA)}
    return Measured(numbers, [Dots("held-out accuracy", "per cent", found)])


CLAIMS = (
    Claim(
        name="dpsgd-modest-budget",
        sentence="Neural networks are trained under a modest privacy budget at a manageable cost in quality.",
        source=Source("abadi2016dpsgd", "abstract; Algorithm 1"),
        methods=("PrivateRows",),
        bounds=(
            Bound("cost", "≤", 10.0, "points of accuracy less than without privacy, mean of splits"),
            Bound("epsilon", "≤", 8.0, "ε at δ = 1e-4"),
        ),
        experiment=experiment,
        control="the gradient of the batch is clipped: one row may change all of it, so the noise is not divided by the lot",
        seeds=5,
        minutes=2.0,
        untested="MNIST and CIFAR-10, training efficiency; that an attacker fails; choosing the learning rate is not private.",
    ),
)
