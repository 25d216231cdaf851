"""Polyak's step with squared preconditioners does not know the units of the weights, and needs no learning rate.

Separable logistic regression whose columns are multiplied by exp(u), u uniform in [-5, 5]. From w = 0 the losses along the
way must be the same on scaled and unscaled data, and at the end below those of Adam at the best of a grid on the scaled
data. The control takes the root (AdaGrad and Adam's second moment as they are usually used), and the same step.
"""

from __future__ import annotations

import statistics
from functools import cache
from typing import Any

import torch
from torch.nn import functional as F

import steepest
from steepest.claims.lab.base import Bound, Claim, Lines, Measured, Source
from steepest.claims.lab.tasks import Fit, Make, Task, fit, network, zeros

RATES = (1e-3, 1e-2, 1e-1, 1.0)


@cache
def scaled(seed: int, spread: float) -> Task:
    """Two classes separated by a planted direction; columns in units of their own.  In float64, so that units show."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(1000, 20, generator=g, dtype=torch.float64)
    y = (x @ torch.randn(20, generator=g, dtype=torch.float64) > 0).long()
    units = torch.exp(spread * (2 * torch.rand(20, generator=g, dtype=torch.float64) - 1))
    build = zeros(network(20, 2))
    return Task(lambda s: build(s).double(), (x * units, y), (x, y), F.cross_entropy, 100)


def losses(make: Make, seed: int, spread: float, epochs: int) -> list[float]:
    """The loss of every mini-batch, and of the whole at the end."""
    task = scaled(seed, spread)
    done: Fit = fit(task, make, seed, epochs * task.epoch)
    return [*done.losses, task.cost(done.model, task.train)]


def units(fast: bool, control: bool) -> Measured:
    """Largest relative difference of losses on scaled and unscaled data, and the ratio to the best Adam, worst method."""
    seeds, epochs = (1, 5) if fast else (5, 20)
    numbers: dict[str, float] = {}
    panels = []
    methods: dict[str, Any] = {"AdaGradSQR": steepest.AdaGradSQR, "AdamSQR": steepest.AdamSQR}
    adams = [min((losses(lambda p, lr=lr: steepest.Adam(p, lr=lr), seed, 5.0, epochs) for lr in RATES),  # type: ignore[misc]
                 key=lambda run: run[-1]) for seed in range(seeds)]  # fmt: skip
    for name, method in methods.items():
        pairs = [[losses(lambda p: method(p, root=control), seed, spread, epochs) for spread in (0.0, 5.0)]  # noqa: B023
                 for seed in range(seeds)]  # fmt: skip
        gaps = [max(abs(a - b) / max(a, 1e-12) for a, b in zip(*pair, strict=True)) for pair in pairs]
        numbers[f"{name} gap"] = max(gaps)
        numbers[f"{name} / best of 4 Adam"] = statistics.median(
            pair[1][-1] / a[-1] for pair, a in zip(pairs, adams, strict=True)
        )
        steps = [float(t + 1) for t in range(len(pairs[0][0]))]
        panels.append(Lines(f"{name}: loss of each mini-batch", "steps", "loss", {
            "scaled": (steps, [pair[1] for pair in pairs]), "unscaled": (steps, [pair[0] for pair in pairs]),
            "best of 4 Adam, scaled": (steps, adams)}, log="y"))  # fmt: skip
    numbers["to_adam"] = max(v for k, v in numbers.items() if k.endswith("Adam"))
    return Measured(numbers, panels)


def scale_free(name: str, method: str, sums: str, note: str) -> Claim:
    """That a method does not know the units."""
    return Claim(
        name=name,
        sentence=f"With Polyak's step and {sums} of squares as preconditioner the path does not depend on the scale of the "
        "columns.",
        source=Source("abdukhakimov2023sania", "abstract and the section on scale invariance"),
        methods=(method,),
        rows=("001-081",),
        bounds=(
            Bound(
                f"{method} gap",
                "≤",
                1e-5,
                "relative difference of losses on scaled and unscaled data, worst step and seed",
            ),
        ),
        experiment=units,
        control="the root of the sums of squares",
        seeds=5,
        minutes=0.5,
        untested="Hutchinson's diagonal and conjugate gradients as preconditioners; the data of the paper.",
        note="In float64; the law to the bit, for powers of two, is in the tests. A positive ε takes the invariance away. "
        + note,
    )


CLAIMS = (
    scale_free(
        "sania-scale-free",
        "AdaGradSQR",
        "the sums",
        "The claim was not held while one bound was over both methods: "
        "4e-12 for this one and 7e-5 for AdamSQR, which has a claim of its own now. Experiment and limit are the same.",
    ),
    scale_free(
        "sania-scale-free-adam",
        "AdamSQR",
        "Adam's mean",
        "Split off sania-scale-free with the limit it had there and did not keep (7e-5).",
    ),
    Claim(
        name="sania-no-tuning",
        sentence="On badly scaled data it needs no step size and is as good as a tuned adaptive method.",
        source=Source("abdukhakimov2023sania", "abstract and the experiments"),
        methods=("AdaGradSQR", "AdamSQR"),
        rows=("001-081",),
        bounds=(
            Bound("to_adam", "≤", 1.0, "loss after 20 epochs relative to the best of four Adam, median, worse method"),
        ),
        experiment=units,
        control="the root of the sums of squares",
        seeds=5,
        minutes=0.5,
        untested="Convolutional nets; the data of the paper.",
    ),
)
