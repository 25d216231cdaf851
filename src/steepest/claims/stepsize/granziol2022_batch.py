"""Mini-batches are sharper than the whole data, and that is why the largest learning rate grows with the batch.

Claims on the digits and on data of many dimensions, where single rows are much sharper than all. The first measures the
largest eigenvalue of the Hessian on batches of a net that has been trained for a while. The second looks for the largest
learning rate with which SGD and Adam do not diverge, by bisection. The third sets learning rate and momentum from both
ends of the spectrum during the run, and compares with a grid of both.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from functools import cache, partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import steepest
from steepest.claims.lab.base import Bound, Claim, Lines, Measured, Source
from steepest.claims.lab.tasks import Task, digits, fit, network, sgd

SIZES = (8, 20, 40, 100, 200, 500)  # of 1,000 rows
SMALL = (2, 4, 8, 16, 32)
METHODS: dict[str, Callable[[Any, float], torch.optim.Optimizer]] = {
    "SGD": lambda p, lr: steepest.SGD(p, lr=lr, nonfinite="propagate"),
    "Adam": lambda p, lr: steepest.Adam(p, lr=lr, nonfinite="propagate"),
}
LRS, MOMENTA = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0), (0.0, 0.5, 0.9)


def task(batch: int) -> Task:
    """Digits by a net with one hidden layer of tanh."""
    return digits(32, batch=batch, hidden=nn.Tanh)


# ---- curvature ---------------------------------------------------------------------------------------------------------


def wrong(here: Task, y: Tensor, z: Tensor) -> Tensor:
    """The loss of outputs z."""
    return here.loss(z, y)


@cache
def largest(seed: int, batch: int, ggn: bool) -> list[float]:
    """The largest eigenvalue, of the Hessian or the Gauss-Newton matrix, on batches that have every row once."""
    here = task(64)
    model = fit(here, sgd(0.1), seed, 200).model
    x, y = here.train
    found = []
    for rows in torch.randperm(len(x), generator=torch.Generator().manual_seed(seed)).split(batch):
        a, b = x[rows], y[rows]
        loss = steepest.landscape.Loss(model, partial(model, a), head=partial(wrong, here, b))
        found.append(steepest.landscape.top_eigenvalues(loss.ggn() if ggn else loss, tol=1e-3).values[0])
    return found


def straight(x: list[float], y: list[float]) -> float:
    """R² of a line, 0 where y does not change."""
    if max(y) - min(y) < 1e-6 * max(y):
        return 0.0
    return float(np.corrcoef(x, y)[0, 1] ** 2)


def curvature(fast: bool, control: bool) -> Measured:
    """Mean of the largest eigenvalue by batch size, against a + b/B."""
    seeds, sizes = (1, (40, 100, 500)) if fast else (3, SIZES)
    numbers: dict[str, float] = {}
    rows, worst = [], {"r2": 1.0, "least": math.inf, "rises": 0.0, "least, GGN": math.inf}
    for seed in range(seeds):
        for ggn in (False, True):
            all_rows = largest(seed, 1000, ggn)[0]
            means = [statistics.mean(largest(seed, 1000 if control else b, ggn)) / all_rows for b in sizes]
            worst["least, GGN" if ggn else "least"] = min(worst["least, GGN" if ggn else "least"], *means)
            if not ggn:
                rows.append(means)
                worst["r2"] = min(worst["r2"], straight([1 / b for b in sizes], means))
                worst["rises"] += sum(b > a for a, b in pairwise(means))
    numbers = {**worst, **{f"B = {b}": statistics.mean(r[i] for r in rows) for i, b in enumerate(sizes)}}
    curves = {"batch": ([float(b) for b in sizes], rows)}
    return Measured(numbers, [Lines("largest eigenvalue relative to all rows", "rows in the batch", "ratio", curves,
                                    {"all rows": 1.0}, log="xy")])  # fmt: skip


# ---- the largest learning rate -----------------------------------------------------------------------------------------


@cache
def limit(method: str, batch: int, seed: int, steps: int, halvings: int, make: Callable[[int], Task] = task) -> float:
    """The largest learning rate at which the mean loss of the last quarter is not above that of the start; 0 rows are all."""
    here = make(batch or len(make(1).train[0]))
    start = here.cost(here.model(seed), here.train)

    def stays(lr: float) -> bool:
        losses = fit(here, lambda p: METHODS[method](p, lr), seed, steps).losses
        return len(losses) == steps and statistics.mean(losses[-steps // 4 :]) <= start

    low, high = math.log(1e-4), math.log(1e3)
    for _ in range(halvings):
        middle = (low + high) / 2
        low, high = (middle, high) if stays(math.exp(middle)) else (low, middle)
    return math.exp((low + high) / 2)


@cache
def wide(batch: int) -> Task:
    """5,000 Gaussian rows in 500 dimensions, five classes by a planted matrix: each row is sharp along itself alone."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(5_000, 500, generator=g)
    y = (x @ torch.randn(500, 5, generator=g)).argmax(1)
    return Task(network(500, 16, 5, hidden=nn.Tanh), (x, y), (x, y), F.cross_entropy, batch)


@cache
def limits(fast: bool, control: bool) -> Measured:
    """Slopes of the largest learning rate over the batch size, both as logarithms."""
    seeds, steps, halvings, sizes = (1, 60, 7, SMALL[::2]) if fast else (3, 100, 9, SMALL)
    numbers, curves = {}, {}
    for method in METHODS:
        rows = [
            [limit(method, 0 if control else b, seed, steps, halvings, wide) for b in sizes] for seed in range(seeds)
        ]
        slopes = [float(np.polyfit(np.log(sizes), np.log(row), 1)[0]) for row in rows]
        numbers[method] = statistics.median(slopes)
        numbers |= {f"{method}, B = {b}": statistics.median(r[i] for r in rows) for i, b in enumerate(sizes)}
        curves[method] = ([float(b) for b in sizes], rows)
    all_rows = statistics.median(limit("SGD", 0, seed, steps, halvings, wide) for seed in range(seeds))
    numbers["even"] = 2 * (all_rows / max(numbers["SGD, B = 2"], 1e-9) - 1)
    return Measured(numbers, [Lines("largest learning rate", "rows in the batch", "learning rate", curves, log="xy")])


def saturating(fast: bool, control: bool) -> Measured:
    """The largest learning rate of SGD as ``scale_lr`` has it from those of 2 rows and of all, worst factor beside it."""
    seeds, steps, halvings, sizes = ((10,), 60, 7, SMALL[2::2]) if fast else ((10, 11, 12), 100, 9, SMALL[1:])
    factors, measured, predicted = [], [], []
    for seed in seeds:
        small, everything = limit("SGD", 2, seed, steps, halvings), limit("SGD", 0, seed, steps, halvings)
        even = math.inf if control else 2 * (everything / small - 1)
        measured.append([limit("SGD", b, seed, steps, halvings) for b in sizes])
        predicted.append([steepest.schedule.scale_lr(small, 2, b, saturation=even) for b in sizes])
        factors.append(max(max(p / m, m / p) for p, m in zip(predicted[-1], measured[-1], strict=True)))
    curves = {
        "measured": ([float(b) for b in sizes], measured),
        "from 2 and all": ([float(b) for b in sizes], predicted),
    }
    return Measured({"factor": statistics.median(factors), "factor_worst": max(factors)},
                    [Lines("largest learning rate", "rows in the batch", "learning rate", curves, log="xy")])  # fmt: skip


# ---- the learner -------------------------------------------------------------------------------------------------------


@cache
def by_grid(batch: int, seed: int, steps: int) -> dict[tuple[float, float], float]:
    """Training loss at the end by learning rate and momentum."""
    here = task(batch)
    ends = {}
    for lr in LRS:
        for momentum in MOMENTA:
            run = fit(here, sgd(lr, momentum=momentum, nonfinite="propagate"), seed, steps)
            value = here.cost(run.model, here.train)
            ends[lr, momentum] = min(value, 1e9) if value == value else 1e9
    return ends


def learner(batch: int, seed: int, steps: int, times: float) -> tuple[float, float, float, float]:
    """Training loss at the end, cost of the measurements relative to that of the steps, last learning rate and momentum."""
    here = task(batch)
    model = here.model(seed)
    opt = steepest.SGD(model.parameters(), lr=1e-9, momentum=0.5, nonfinite="propagate")
    batches = here.batches(seed)
    now: dict[str, Any] = {}

    def measure() -> tuple[Any, Any]:
        x, y = now["batch"]
        low, high = steepest.landscape.edges(steepest.landscape.Loss(model, lambda: here.loss(model(x), y)), tol=0.05)
        now["ends"] = high.cost.gradient_equivalents
        return low.values[0] * times, high.values[0] * times

    rule, spent = steepest.schedule.EdgeRule(opt, measure, every=100), 0
    for _ in range(steps):
        now["batch"], now["ends"] = next(batches), 0
        rule.step()
        spent += now["ends"]
        x, y = now["batch"]
        opt.step(lambda x=x, y=y: here.loss(model(x), y))  # type: ignore[misc]
    value = here.cost(model, here.train)
    group = opt.param_groups[0]
    return min(value, 1e9) if value == value else 1e9, spent / (3 * steps), group["lr"], group["momentum"]


def learners(fast: bool, control: bool) -> Measured:
    """Loss at the end relative to the best of the grid, on mini-batches and on all rows."""
    seeds, steps, sizes = (1, 200, (64,)) if fast else (3, 400, (64, 1000))
    numbers: dict[str, float] = {"ratio": 0.0}
    panels = []
    for batch in sizes:
        grids = [by_grid(batch, seed, steps) for seed in range(seeds)]
        ours = [learner(batch, seed, steps, 100.0 if control else 1.0) for seed in range(seeds)]
        ratio = statistics.median(o[0] / min(g.values()) for o, g in zip(ours, grids, strict=True))
        numbers |= {f"ratio, {batch} rows": ratio, f"cost, {batch} rows": statistics.mean(o[1] for o in ours),
                    f"lr, {batch} rows": ours[0][2], f"momentum, {batch} rows": ours[0][3],
                    f"best lr, {batch} rows": min(grids[0], key=grids[0].__getitem__)[0],
                    f"best momentum, {batch} rows": min(grids[0], key=grids[0].__getitem__)[1]}  # fmt: skip
        numbers["ratio"] = max(numbers["ratio"], ratio)
        lines = {f"momentum {m:g}": (list(LRS), [[g[lr, m] for lr in LRS] for g in grids]) for m in MOMENTA}
        panels.append(Lines(f"training loss after {steps} steps, {batch} rows", "learning rate", "loss", lines,
                            {"from both ends": statistics.median(o[0] for o in ours)}, log="xy"))  # fmt: skip
    return Measured(numbers, panels)


def grows(name: str, method: str, how: str, slopes: tuple[float, float]) -> Claim:
    """How the largest learning rate of a method grows with the batch."""
    return Claim(
        name=name,
        sentence=f"While the batch is small the largest learning rate of {method} grows {how}.",
        source=Source("granziol2022learning", "abstract"),
        methods=(method,),
        rows=("001-124", "002-16"),
        bounds=(
            Bound(method, "≥", slopes[0], "slope over the batch size, logarithms, median of seeds"),
            Bound(method, "≤", slopes[1], "the same"),
        ),
        experiment=limits,
        control="every batch has all rows, whatever its size is said to be",
        seeds=3,
        minutes=2.0,
        untested="The best learning rate, which is not the largest; convolutional nets on CIFAR-100 and ImageNet.",
        note="Divergence is a mean loss over the last quarter of 100 steps above that of the start. On the digits, where the "
        "law bends at a few rows, one claim over both methods was not held (slopes 0.44 and 0.65). Data and regime came after "
        "that, the limits are the same.",
        regime=(
            Bound(
                "even",
                "≥",
                128.0,
                "rows at which half of SGD's largest learning rate is reached, from batches of 2 and all",
            ),
        ),
    )


CLAIMS = (
    Claim(
        name="batch-hessian-sharper",
        sentence="The extremal eigenvalues of a batch's Hessian and Gauss-Newton matrix exceed those of all rows, by a part "
        "that falls like one over the batch.",
        source=Source("granziol2022learning", "abstract"),
        methods=("SGD",),
        rows=("001-124", "002-16"),
        bounds=(
            Bound("r2", ">", 0.9, "R² of the mean largest eigenvalue as a line in 1/B, worst seed"),
            Bound("least", "≥", 1.0, "mean largest eigenvalue of the Hessian relative to all rows, least of seeds and sizes"),
            Bound("least, GGN", "≥", 1.0, "the same of the Gauss-Newton matrix"),
            Bound("rises", "≤", 0.0, "times that the mean rises from one batch size to the next"),
        ),
        experiment=curvature,
        control="every batch has all rows",
        seeds=3,
        minutes=1.5,
        untested="Smallest eigenvalues; convolutional nets on CIFAR-100 and ImageNet.",
        note="The largest eigenvalue is convex, so its mean over batches that have every row once cannot be below that of all "
        "rows; by how much it is above, and how that falls, is what is measured. In a first run with twenty batches of each "
        "size, drawn at random, the mean at 512 rows was 1 % below all rows by chance, and the claim was not held.",
    ),
    grows("batch-largest-lr", "SGD", "linearly with it", (0.6, 1.2)),
    grows("batch-largest-lr-adam", "Adam", "like its square root", (0.25, 0.75)),
    Claim(
        name="batch-largest-lr-saturates",
        sentence="The largest learning rate of SGD goes with one over λ(1 + B*/B): linear in small batches, constant in large.",
        source=Source("granziol2022learning", "the law of the batch Hessian's largest eigenvalue"),
        methods=("SGD",),
        rows=("001-124", "002-16"),
        bounds=(
            Bound(
                "factor",
                "≤",
                1.3,
                "largest learning rate, predicted over measured or the other way round, batches of 4 to 32, worst, median of "
                "seeds",
            ),
        ),
        experiment=saturating,
        control="a linear law, without saturation",
        seeds=3,
        minutes=2.0,
        untested="Adam, whose slope was between the linear and the root law; B* from eigenvalues, for here it is from two "
        "learning rates.",
        note="Made after batch-largest-lr was not held, whose numbers lie on this curve; with other seeds.",
    ),
    Claim(
        name="edge-rule-grid",
        sentence="Learning rate and momentum from both ends of the spectrum, measured during the run, spare a search for them.",
        source=Source("granziol2022learning", "abstract, on the learner by stochastic Lanczos quadrature"),
        methods=("SGD",),
        rows=("001-124", "002-16"),
        bounds=(
            Bound(
                "ratio",
                "≤",
                1.25,
                "training loss at the end relative to the best of 18 settings, median of seeds, worse of batches of 64 and "
                "all rows",
            ),
        ),
        experiment=learners,
        control="eigenvalues a hundred times too large",
        seeds=3,
        minutes=3.0,
        untested="The learner as in the first author's code (every 20 epochs, the median for μ); their net on CIFAR-100.",
        note="The measurements are not in the comparison of losses; what they cost relative to the steps is among the numbers.",
    ),
)  # fmt: skip
