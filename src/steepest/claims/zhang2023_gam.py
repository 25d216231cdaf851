"""GAM ends where the largest eigenvalue of the Hessian is lower, without losing accuracy.

A network learns the digits with 30 % random labels; GAM and SGD have the same learning rate, batches and epochs. The
control has both radii zero, so that all four gradients are one.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import steepest
from steepest.claims.base import Bound, Claim, Dots, Measured, Source
from steepest.claims.foret2021_sam import top_eigenvalue
from steepest.claims.tasks import fit, sgd
from steepest.claims.wronglabels import wrong_labels


def trained(make: Callable[[Any], Any], seed: int, epochs: int) -> tuple[float, float]:
    """Largest eigenvalue of the Hessian of the training loss, and accuracy on clean images."""
    task = wrong_labels(0.3)
    run = fit(task, make, seed, epochs * task.epoch)
    return top_eigenvalue(run, task), 100 * task.accuracy(run.model)


def flatness(fast: bool, control: bool) -> Measured:
    """Eigenvalues relative to SGD's, and accuracy above it."""
    seeds, epochs = (1, 10) if fast else (5, 30)
    radii = {"rho": 0.0, "ascent": 0.0} if control else {}
    gam = [trained(lambda p: steepest.GAM(p, lr=0.05, **radii), s, epochs) for s in range(seeds)]
    plain = [trained(sgd(0.05, momentum=0.9), s, epochs) for s in range(seeds)]
    ratios = [a / b for (a, _), (b, _) in zip(gam, plain, strict=True)]
    gain = statistics.mean(a for _, a in gam) - statistics.mean(b for _, b in plain)
    numbers = {"ratio_worst": max(ratios), "gain": gain, "gam": statistics.mean(a for _, a in gam),
               "sgd": statistics.mean(b for _, b in plain)}  # fmt: skip
    panels = [Dots(title, unit, {"GAM": [r[i] for r in gam], "SGD": [r[i] for r in plain]}, log="y" * (i == 0))
              for i, title, unit in ((0, "top eigenvalue of the Hessian, one line a seed", "eigenvalue"),
                                     (1, "accuracy on clean images, one line a seed", "per cent"))]  # fmt: skip
    return Measured(numbers, panels)


CLAIMS = (
    Claim(
        name="gam-flatter",
        sentence="GAM seeks minima with small curvature in all directions and improves generalisation over SGD.",
        source=Source("zhang2023gam", "abstract"),
        methods=("GAM",),
        bounds=(
            Bound("ratio_worst", "<", 0.9, "largest Hessian eigenvalue relative to SGD's, worst seed"),
            Bound("gain", "≥", 0.0, "percentage points of accuracy above SGD at the same number of steps, mean of the seeds"),
        ),
        experiment=flatness,
        control="ρ = ρ' = 0",
        seeds=5,
        minutes=1.0,
        untested="The same number of gradients (GAM has four a step here); AdamW and SAM as the base; CIFAR and ImageNet; the "
        "form with Hessian-vector products.",
    ),
)  # fmt: skip
