"""GAM ends where the largest eigenvalue of the Hessian is lower, without losing accuracy.

A network learns the digits with 30 % random labels; GAM and SGD have the same learning rate, batches and epochs. The
control has both radii zero, so that all four gradients are one.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import steepest
from steepest.claims.flatness.foret2021_sam import top_eigenvalue
from steepest.claims.lab.base import Bound, Claim, Dots, Measured, Source
from steepest.claims.lab.tasks import fit, sgd
from steepest.claims.lab.wronglabels import wrong_labels


def trained(make: Callable[[Any], Any], seed: int, epochs: int) -> tuple[float, float]:
    """Largest eigenvalue of the Hessian of the training loss, and accuracy on clean images."""
    task = wrong_labels(0.3)
    run = fit(task, make, seed, epochs * task.epoch)
    return top_eigenvalue(run, task), 100 * task.accuracy(run.model)


def flatness(fast: bool, control: bool) -> Measured:
    """Eigenvalues relative to SGD's, and accuracy above it."""
    seeds, epochs = (1, 10) if fast else (5, 30)
    radii: dict[str, Any] = {"rho": 0.0, "ascent": 0.0} if control else {}
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


def over_sam(fast: bool, control: bool) -> Measured:
    """Eigenvalues relative to SAM's, and accuracy above it, where the finite difference is as long as SAM's radius.

    GAM asks four times a step and SAM twice, so SAM is run for as many steps and for as many gradients, and GAM has to be
    better than both: longer training lowers SAM's accuracy here, for it learns the wrong labels.
    """
    seeds, epochs, rho = (1, 10, 0.05) if fast else (5, 30, 0.05)
    radii: dict[str, Any] = {"rho": 0.0, "tilt": 0.0} if control else {}
    gam = [trained(lambda p: steepest.GAM(p, lr=0.05, ascent=rho, **radii), s, epochs) for s in range(seeds)]
    sam, long = (
        [trained(lambda p: steepest.SAM(p, lr=0.05, rho=rho), s, n * epochs) for s in range(seeds)] for n in (1, 2)
    )
    ratios = [a / b for rival in (sam, long) for (a, _), (b, _) in zip(gam, rival, strict=True)]
    gain = statistics.mean(a for _, a in gam) - max(statistics.mean(b for _, b in rival) for rival in (sam, long))
    panel = Dots("top eigenvalue of the Hessian, one line a seed", "eigenvalue",
                 {"GAM + SAM": [a for a, _ in gam], "SAM": [b for b, _ in sam], "SAM, as many gradients": [b for b, _ in long]},
                 log="y")  # fmt: skip
    return Measured({"ratio_worst": max(ratios), "gain": gain}, [panel])


CLAIMS = (
    Claim(
        name="gam-flatter",
        sentence="GAM seeks minima with small curvature in all directions and improves generalisation over SGD.",
        source=Source("zhang2023gam", "abstract"),
        methods=("GAM",),
        rows=("001-080",),
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
    Claim(
        name="gam-over-sam",
        sentence="GAM helps SAM to find flatter minima.",
        source=Source("zhang2023gam", "abstract"),
        methods=("GAM", "SAM"),
        rows=("001-080",),
        bounds=(
            Bound("ratio_worst", "<", 0.98, "largest Hessian eigenvalue relative to SAM's at as many steps or gradients, worst "
                  "seed"),
            Bound("gain", "≥", 0.0, "percentage points of accuracy above SAM at as many steps or gradients, mean of the seeds"),
        ),
        experiment=over_sam,
        control="ρ = 0 and nothing taken away, which is SAM",
        seeds=5,
        minutes=1.5,
        untested="The authors' own way to join the two: here ρ' is SAM's radius, so that the first of the mixed gradients is "
        "SAM's. CIFAR and ImageNet.",
        note="Once compared at the same number of steps alone.",
    ),
)  # fmt: skip
