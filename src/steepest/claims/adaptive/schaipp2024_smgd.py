"""SMGD: the median of gradients has no trouble with noise that has no variance.

A quadratic of ten coordinates; gradients with noise of Student's t with 1.1 degrees of freedom, which grows with ‖x‖. Each
method at the best of as many learning rates, chosen on a seed of its own: both medians against SGD with momentum, by the
median loss over the second half of a run. The control lets τ be so large that m is the gradient.
"""

from __future__ import annotations

import math
import statistics
from functools import cache
from typing import Any

import torch

import steepest
from steepest.claims.lab.base import Bound, Claim, Dots, Measured, Source
from steepest.claims.lab.tasks import best

LRS = tuple(2.0**-k for k in range(3, 13, 2))


@cache
def late(name: str, tau: float, lr: float, seed: int, steps: int) -> float:
    """The median loss over the second half."""
    r = torch.Generator().manual_seed(seed)
    a = torch.logspace(-1, 0, 10, dtype=torch.float64)
    x = torch.nn.Parameter(torch.full((10,), 1.0, dtype=torch.float64))
    u = torch.rand(2, steps, 10, generator=r, dtype=torch.float64).clamp(min=1e-12)
    nu = 1.1  # Bailey's polar form of Student's t
    noise = (nu * (u[0] ** (-2 / nu) - 1)).sqrt() * (2 * math.pi * u[1]).cos()
    makers: dict[str, Any] = {
        "SGD": lambda: steepest.SGD([x], lr=lr, momentum=0.9, dampening=0.9),
        "geometric": lambda: steepest.SMGD([x], lr=lr, tau=tau),
        "component": lambda: steepest.SMGD([x], lr=lr, tau=tau, median="component"),
    }
    opt, losses = makers[name](), []
    for k in range(steps):
        at = x.detach()
        losses.append(float((a * at * at).sum() / 2))
        if not math.isfinite(losses[-1]):
            return 1e9
        x.grad = a * at + noise[k] * (1 + at.norm())
        opt.step()
    return min(1e9, statistics.median(losses[steps // 2 :]))


def experiment(fast: bool, control: bool) -> Measured:
    """Late losses, tuned."""
    seeds, steps, grid = (1, 200, LRS[::2]) if fast else (5, 2000, LRS)
    tau, rows = 1e12 if control else 0.1, {}
    for name in ("geometric", "component", "SGD"):
        lr = best({lr: late(name, tau, lr, 100, steps) for lr in grid})
        rows[name] = [late(name, tau, lr, seed, steps) for seed in range(seeds)]
    middle = {name: statistics.median(row) for name, row in rows.items()}
    numbers = {"ratio": middle["SGD"] / max(middle["geometric"], middle["component"])}
    return Measured(numbers | {f"loss {n}": v for n, v in middle.items()}, [Dots("late loss", "f", rows, log="y")])


CLAIMS = (
    Claim(
        name="smgd-heavy-tails",
        sentence="Estimating the median gradient makes SGD converge even under heavy-tailed, state-dependent noise.",
        source=Source("schaipp2024sgd", "abstract"),
        methods=("SMGD",),
        rows=("001-037",),
        bounds=(Bound("ratio", "≥", 10.0, "late loss of SGD with momentum relative to SMGD's, worse of both medians, median of "
                      "seeds, each at its best learning rate"),),
        experiment=experiment,
        control="τ so large that m is the gradient",
        seeds=5,
        minutes=0.5,
        untested="Language models; the sample median of a batch; the theorems.",
    ),
)  # fmt: skip
