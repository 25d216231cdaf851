"""DoG comes close to a tuned SGD without a step size, and its one number hardly matters.

Three convex problems on real data; DoG and SGD both return the polynomial-decay average of their iterates, as the paper
recommends. A seed is a split into halves with an order of the batches. SGD gets the best of nine steps on each problem,
chosen by the very number that is compared. Two claims: one on the training loss, where digits and tumours are separable
and the loss has no minimum that a distance could be measured to, and one on held-out rows, which is what the paper
reports. The control puts a fixed step of the size of DoG's first one in its place: what is left when the estimate does
not grow.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import cache

import torch

import steepest
from steepest.claims.base import Bound, Claim, Dots, Lines, Measured, Source
from steepest.claims.grids import Score, score, tune
from steepest.claims.tasks import Fit, Task, breast_cancer, diabetes, digits, fit

GRID = tuple(10.0 ** (-4 + 0.75 * k) for k in range(9))  # 1e-4 to 1e2
REPS = (1e-8, 1e-6, 1e-4)
PROBLEMS: dict[str, Callable[[int], Task]] = {
    "digits": lambda split: digits(batch=32, split=split),
    "cancer": lambda split: breast_cancer(split=split),
    "diabetes": lambda split: diabetes(split=split),
}


class Average:
    """The polynomial-decay average (γ = 8) of the iterates after each step."""

    def __init__(self) -> None:
        self.mean: list[torch.Tensor] = []

    def __call__(self, k: int, run: Fit) -> None:
        """Take in the iterate after step k."""
        params = [p.detach() for p in run.model.parameters()]
        if not self.mean:
            self.mean = [p.clone() for p in params]
        torch._foreach_lerp_(self.mean, params, 9 / (k + 8))


@cache
def dog(name: str, reps: float, seed: int, steps: int) -> Score:
    """DoG's averaged iterate."""
    task, average = PROBLEMS[name](seed), Average()
    run = fit(task, lambda p: steepest.DoG(p, reps_rel=reps), 0, steps, average)
    with torch.no_grad():
        for p, mean in zip(run.model.parameters(), average.mean, strict=True):
            p.copy_(mean)
    return score(task, run.model)


@cache
def sgd(name: str, grid: tuple[float, ...], seed: int, steps: int) -> list[Score]:
    """SGD's averaged iterates by step size."""
    task = PROBLEMS[name](seed)
    rows = tune(task, lambda groups: steepest.SGD(groups, nonfinite="propagate"), grid, 1, steps, averaged=True)
    return [row[0] for row in rows]


def profile(fast: bool) -> tuple[tuple[str, ...], int, int]:
    """Problems, seeds and steps."""
    return (("cancer", "diabetes"), 1, 800) if fast else (tuple(PROBLEMS), 4, 2_000)


def by_seed(rows: list[list[Score]]) -> list[list[Score]]:
    """From seed by setting to setting by seed."""
    return [list(row) for row in zip(*rows, strict=True)]


def runs(name: str, seeds: int, steps: int, control: bool) -> list[list[Score]]:
    """The method under test by r_ε and seed; at x₀ = 0 DoG's first step is r_ε times a unit vector."""
    if control:
        return by_seed([sgd(name, REPS, s, steps) for s in range(seeds)])
    return [[dog(name, r, s, steps) for s in range(seeds)] for r in REPS]


def training(fast: bool, control: bool) -> Measured:
    """Training loss relative to the best SGD, and its spread over r_ε."""
    names, seeds, steps = profile(fast)
    ratio, spread = {}, {}
    for name in names:
        grid = [[s.train for s in row] for row in by_seed([sgd(name, GRID, s, steps) for s in range(seeds)])]
        ours = [[s.train for s in row] for row in runs(name, seeds, steps, control)]
        best = [min(row[s] for row in grid) for s in range(seeds)]
        ratio[name] = [a / b for a, b in zip(ours[1], best, strict=True)]
        spread[name] = [max(row[s] for row in ours) / min(row[s] for row in ours) - 1 for s in range(seeds)]
    numbers = {f"ratio {n}": statistics.median(r) for n, r in ratio.items()}
    numbers |= {f"spread {n}": statistics.median(r) for n, r in spread.items()}
    numbers["ratio_worst"] = max(max(r) for r in ratio.values())
    numbers["spread_worst"] = max(max(r) for r in spread.values())
    return Measured(numbers, [Dots("training loss / best SGD's", "ratio", ratio, {"bound": 1.15}, log="y")])


def heldout(fast: bool, control: bool) -> Measured:
    """Held-out accuracy (loss for diabetes) against the best SGD, means over seeds."""
    names, seeds, steps = profile(fast)
    numbers: dict[str, float] = {"points_worst": -100.0, "spread_points": 0.0}
    panels = []
    for name in names:
        grid = by_seed([sgd(name, GRID, s, steps) for s in range(seeds)])
        ours = runs(name, seeds, steps, control)
        if name == "diabetes":
            best = min(statistics.mean(s.test for s in row) for row in grid)
            numbers["loss_ratio"] = statistics.mean(s.test for s in ours[1]) / best
            continue
        rights = [[100 * s.accuracy for s in row] for row in grid]
        mine = [[100 * s.accuracy for s in row] for row in ours]
        means = [statistics.mean(row) for row in mine]
        numbers[f"points {name}"] = max(map(statistics.mean, rights)) - means[1]
        numbers["points_worst"] = max(numbers["points_worst"], numbers[f"points {name}"])
        numbers["spread_points"] = max(numbers["spread_points"], max(means) - min(means))
        label = "fixed step r_ε" if control else "DoG, no step size"
        flat = [[mine[1][s]] * len(GRID) for s in range(seeds)]
        curves = {label: (GRID, flat), "SGD": (GRID, [[row[s] for row in rights] for s in range(seeds)])}
        panels.append(Lines(f"{name}: held-out accuracy", "step size of SGD", "per cent", curves, log="x"))
    return Measured(numbers, panels)


CONTROL = "a fixed step of the size of DoG's first one"
SENTENCE = "SGD with distance over gradients as its step is close to SGD with a tuned one"
CLAIMS = (
    Claim(
        name="dog-training-loss",
        sentence=f"{SENTENCE}, measured by the training loss, and its initial movement can be any small number.",
        source=Source("ivgi2023dog", "abstract; the paper itself measures held-out error"),
        methods=("DoG",),
        bounds=(
            Bound("ratio_worst", "≤", 1.15, "training loss relative to the best of nine SGD, worst problem and seed"),
            Bound(
                "spread_worst", "<", 0.05, "change of the loss while r_ε goes from 1e-8 to 1e-4, worst problem and seed"
            ),
        ),
        experiment=training,
        control=CONTROL,
        seeds=4,
        minutes=1.2,
        untested="Fine-tuning of large vision and language models; the layer-wise variant; the theorem's T-DoG.",
        note="Digits and tumours are separable: SGD with a huge step drives that loss to zero, at infinite distance.",
    ),
    Claim(
        name="dog-held-out",
        sentence=f"{SENTENCE} on held-out data, and its initial movement can be any small number.",
        source=Source("ivgi2023dog", "abstract and the experiments"),
        methods=("DoG",),
        bounds=(
            Bound(
                "points_worst",
                "≤",
                1.0,
                "percentage points of accuracy below the best of nine SGD, mean, worst problem",
            ),
            Bound(
                "loss_ratio", "≤", 1.05, "held-out loss on diabetes relative to the best of nine SGD, mean over seeds"
            ),
            Bound(
                "spread_points",
                "≤",
                1.0,
                "percentage points by which accuracy changes while r_ε goes from 1e-8 to 1e-4",
            ),
        ),
        experiment=heldout,
        control=CONTROL,
        seeds=4,
        minutes=1.2,
        untested="Fine-tuning of large vision and language models; the layer-wise variant; the theorem's T-DoG.",
        note="Measured first on one split with 119 held-out tumours, where it did not hold: 2.5 points below, one row being "
        "0.8 points. Bounds are the same, rows are ten times as many.",
    ),
)
