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
from steepest.claims.lab.base import Bound, Claim, Dots, Lines, Measured, Source
from steepest.claims.lab.grids import Score, score, tune
from steepest.claims.lab.interpolation import logistic
from steepest.claims.lab.tasks import Fit, Task, breast_cancer, diabetes, digits, digits_squares, fit, language

GRID = tuple(10.0 ** (-4 + 0.75 * k) for k in range(9))  # 1e-4 to 1e2
REPS = (1e-8, 1e-6, 1e-4)
PROBLEMS: dict[str, Callable[[int], Task]] = {
    "digits": lambda split: digits(batch=32, split=split),
    "cancer": lambda split: breast_cancer(split=split),
    "diabetes": lambda split: diabetes(split=split),
}


CONVEX: dict[str, Callable[[int], Task]] = {
    "digits": lambda split: digits_squares(batch=32, split=split),
    "flipped": lambda split: logistic(split, 0.1, batch=32),
    "diabetes": lambda split: diabetes(split=split),
}
NETS: dict[str, Callable[[], Task]] = {"digits": lambda: digits(64, 64, batch=50), "bytes": language}
LRS = (0.01, 0.03, 0.1, 0.3, 1.0)


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


def least(fast: bool, control: bool) -> Measured:
    """Training loss relative to the best SGD where the loss has a least value; of the last point, too."""
    seeds, steps = (1, 400) if fast else (4, 2_000)
    ratio, last = {}, {}
    for name, make in CONVEX.items():
        best, ours, ends = [], [], []
        for seed in range(seeds):
            task = make(seed)
            best.append(min(row[0].train for row in _tuned(task, GRID, steps)))
            if control:
                ours.append(_tuned(task, (REPS[1],), steps)[0][0].train)
                continue
            run = fit(task, lambda p: steepest.DoG(p, point=steepest.point.Average()), 0, steps)
            ends.append(score(task, run.model).train / best[-1])
            with run.opt.averaged():  # type: ignore[attr-defined]
                ours.append(score(task, run.model).train)
        ratio[name] = [a / b for a, b in zip(ours, best, strict=True)]
        last[name] = ends or ratio[name]
    numbers = {f"ratio {n}": statistics.median(r) for n, r in ratio.items()}
    numbers |= {f"last point {n}": statistics.median(r) for n, r in last.items()}
    numbers["ratio_worst"] = max(max(r) for r in ratio.values())
    return Measured(numbers, [Dots("training loss / best SGD's", "ratio", ratio, {"bound": 1.15}, log="y")])


def _tuned(task: Task, grid: tuple[float, ...], steps: int) -> list[list[Score]]:
    return tune(task, lambda groups: steepest.SGD(groups, nonfinite="propagate"), grid, 1, steps, averaged=True)


@cache
def net_run(name: str, method: str, lr: float, seed: int, steps: int) -> Score:
    """One training of a net, seen at its average."""
    task = NETS[name]()
    make = {"LDoG": steepest.LDoG, "DoG": steepest.DoG, "SGD": steepest.SGD}[method]
    own = {"lr": lr} if method == "SGD" else {}
    run = fit(task, lambda p: make(p, point=steepest.point.Average(), **own), seed, steps)
    with run.opt.averaged():  # type: ignore[attr-defined]
        return score(task, run.model)


def layerwise(fast: bool, control: bool) -> Measured:
    """LDoG's training loss relative to DoG's, and its held-out accuracy or loss against the best SGD."""
    profile = {"digits": (1, 300)} if fast else {"digits": (4, 1_500), "bytes": (2, 250)}
    ratio, curves, numbers = {}, [], {"points_below": -100.0, "loss_above": 0.0}
    for name, (seeds, steps) in profile.items():
        ours = [
            net_run(name, "SGD", 1e-6, s, steps) if control else net_run(name, "LDoG", 1.0, s, steps)
            for s in range(seeds)
        ]
        dogs = [net_run(name, "DoG", 1.0, s, steps) for s in range(seeds)]
        grid = [[net_run(name, "SGD", lr, s, steps) for s in range(seeds)] for lr in LRS]
        ratio[name] = [a.train / b.train for a, b in zip(ours, dogs, strict=True)]
        if name == "bytes":
            best = min(statistics.mean(s.test for s in row) for row in grid)
            numbers["loss_above"] = statistics.mean(s.test for s in ours) / best
        else:
            best = max(statistics.mean(s.accuracy for s in row) for row in grid)
            numbers["points_below"] = 100 * (best - statistics.mean(s.accuracy for s in ours))
        curves.append(Lines(f"{name}: held-out loss", "step size of SGD", "loss", {
            "LDoG": (LRS, [[s.test] * len(LRS) for s in ours]),
            "SGD": (LRS, [[row[k].test for row in grid] for k in range(seeds)]),
            "DoG": (LRS, [[s.test] * len(LRS) for s in dogs])}, log="xy"))  # fmt: skip
    numbers |= {f"ratio {n}": statistics.median(r) for n, r in ratio.items()}
    numbers["ratio_worst"] = max(statistics.median(r) for r in ratio.values())
    return Measured(numbers, curves)


CONTROL = "a fixed step of the size of DoG's first one"
SENTENCE = "SGD with distance over gradients as its step is close to SGD with a tuned one"
CLAIMS = (
    Claim(
        name="dog-training-loss",
        sentence=f"{SENTENCE}, measured by the training loss, and its initial movement can be any small number.",
        source=Source("ivgi2023dog", "abstract; the paper itself measures held-out error"),
        methods=("DoG",),
        rows=("001-074",),
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
        rows=("001-074",),
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
    Claim(
        name="dog-least-value",
        sentence=f"{SENTENCE}, measured by the training loss of averages, on convex problems whose loss has a least value.",
        source=Source("ivgi2023dog", "abstract and the convex experiments"),
        methods=("DoG",),
        rows=("001-074",),
        bounds=(
            Bound("ratio_worst", "≤", 1.15, "training loss relative to the best of nine SGD, worst problem and seed"),
        ),
        experiment=least,
        control=CONTROL,
        seeds=4,
        minutes=0.8,
        untested="Fine-tuning of large vision and language models.",
        note="Written after dog-training-loss, which does not hold: two of its three losses have no least value. That one "
        "also compares averages, so averaging is not what it lacked.",
    ),
    Claim(
        name="ldog-nets",
        sentence="DoG layer by layer generally does better than DoG and than SGD with a tuned step.",
        source=Source("ivgi2023dog", "abstract and Section 4"),
        methods=("LDoG",),
        rows=("001-074",),
        bounds=(
            Bound("ratio_worst", "≤", 1.0, "training loss relative to DoG's, median over seeds, worst of two nets"),
            Bound(
                "points_below",
                "≤",
                0.5,
                "percentage points of held-out accuracy below the best of five SGD, mean, digits",
            ),
            Bound("loss_above", "≤", 1.02, "held-out loss on bytes relative to the best of five SGD, mean"),
        ),
        experiment=layerwise,
        control="a fixed step of 1e-6",
        seeds=4,
        minutes=4,
        untested="Fine-tuning, which is what the paper does; convolutions; comparison with Adam.",
    ),
)
