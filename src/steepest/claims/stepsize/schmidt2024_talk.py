"""Three sentences of a talk: interpolation makes constant steps enough, line searches need it, and signs are what Adam is.

Least squares that can be solved on every row, and the same with noise in the targets; and the next token of Python source
with its heavy tail of rare classes, full-batch, as in the claims about imbalance.
"""

from __future__ import annotations

import statistics
from functools import cache

import steepest
from steepest.claims.adaptive.kunstner2024_imbalance import METHODS, train
from steepest.claims.lab.base import Bound, Claim, Lines, Measured, Source
from steepest.claims.lab.interpolation import least_squares
from steepest.claims.lab.tasks import best, sgd
from steepest.claims.stepsize.loizou2021_sps import GRID, descent
from steepest.claims.stepsize.vaswani2019_sls import straightness

Way = tuple[list[float], list[float], float]


@cache
def constant(seed: int, noise: float, steps: int) -> Way:
    """The best of nine constant steps by the loss at the end."""
    task = least_squares(seed, noise)
    return min((descent(task, sgd(lr), seed, steps) for lr in GRID), key=ending)


def ending(way: Way) -> float:
    """Mean loss over the last tenth of a run, relative to the start; not below 10⁻¹⁰, where rounding is all."""
    tail = way[1][-max(1, len(way[1]) // 10) :]
    mean = statistics.mean(tail)
    return max(mean, 1e-10) if mean == mean and mean < 1e9 else 1e9


def linear(fast: bool, control: bool) -> Measured:
    """Loss at the end and straightness of the best constant step, worst seed."""
    seeds, steps = (2, 400) if fast else (5, 1_000)
    ways = [constant(seed, 1.0 if control else 0.0, steps) for seed in range(seeds)]
    numbers = {"end_worst": max(map(ending, ways)), "straight_worst": min(straightness(w[0], w[1]) for w in ways)}
    curves = {"SGD": (ways[0][0], [w[1] for w in ways])}
    return Measured(numbers, [Lines("loss relative to the start", "steps", "loss", curves, log="y")])


def searching(fast: bool, control: bool) -> Measured:
    """Loss at the end of SLS relative to the best constant step, median of seeds."""
    seeds, steps, noise = (2, 400, 4.0) if fast else (5, 1_000, 4.0)
    ours, theirs = [], []
    for seed in range(seeds):
        task = least_squares(seed, 0.0 if control else noise)
        ours.append(descent(task, lambda p, n=task.epoch: steepest.SLS(p, c=0.1, batches_per_epoch=n), seed, steps))  # type: ignore[misc]
        theirs.append(constant(seed, 0.0 if control else noise, steps))
    ratio = statistics.median(ending(o) / ending(t) for o, t in zip(ours, theirs, strict=True))
    curves = {"SLS": (ours[0][0], [w[1] for w in ours]), "best constant step": (ours[0][0], [w[1] for w in theirs])}
    return Measured({"ratio": ratio}, [Lines("loss relative to the start", "steps", "loss", curves, log="y")])


def signs(fast: bool, control: bool) -> Measured:
    """Loss after 60 steps relative to Adam's, each method at its best learning rate, mean over embeddings."""
    seeds, size = (1, (300, 6_000)) if fast else (3, (1_000, 20_000))
    ends, curves = {}, {}
    for name, (_, grid) in METHODS.items():
        rows = {lr: [train(name, lr, s, 60, size, control)[0] for s in range(seeds)] for lr in grid}
        chosen = rows[best({lr: statistics.mean(r[-1] for r in row) for lr, row in rows.items()})]
        ends[name] = statistics.mean(r[-1] for r in chosen)
        curves[name] = ([float(k) for k in range(61)], chosen)
    numbers = {"sign": ends["sign + momentum"] / ends["Adam"], "gd": ends["GD + momentum"] / ends["Adam"], **ends}
    return Measured(numbers, [Lines("training loss, best learning rates", "steps", "nats", curves)])


CLAIMS = (
    Claim(
        name="interpolation-constant-step",
        sentence="If the model can fit every row, SGD with a constant step converges linearly.",
        source=Source("schmidt2024talk", "the part on over-parameterized models"),
        methods=("SGD",),
        rows=("004-01",),
        bounds=(
            Bound("end_worst", "≤", 1e-4, "loss at the end relative to the start, best constant step, worst seed"),
            Bound("straight_worst", ">", 0.95, "R² of a line through log loss, worst seed"),
        ),
        experiment=linear,
        control="noise of standard deviation 1 in the targets, so that no point fits every row",
        seeds=5,
        minutes=0.5,
        untested="Losses that are not strongly convex; acceleration.",
    ),
    Claim(
        name="search-without-interpolation",
        sentence="Far from interpolation a stochastic line search fails: it fits each mini-batch; a constant step is better.",
        source=Source("schmidt2024talk", "the part on line searches"),
        methods=("SLS",),
        rows=("004-01",),
        bounds=(
            Bound("ratio", "≥", 2.0, "loss at the end relative to the best of nine constant steps, median of seeds"),
        ),
        experiment=searching,
        control="no noise in the targets",
        seeds=5,
        minutes=0.5,
        untested="Deep nets far from interpolation.",
        note="Noise of standard deviation 4, about that of the targets without it.",
    ),
    Claim(
        name="signs-are-adam",
        sentence="With heavy-tailed classes full-batch sign descent with momentum does what Adam does, and gradient descent "
        "with momentum does not, so noise is not the reason.",
        source=Source("schmidt2024talk", "the part on Adam and language models"),
        methods=("SignSGD", "Adam", "SGD"),
        rows=("004-01",),
        bounds=(
            Bound("sign", "≤", 1.1, "loss of sign descent with momentum relative to Adam's, best learning rates"),
            Bound("gd", "≥", 1.1, "loss of gradient descent with momentum relative to Adam's, best learning rates"),
        ),
        experiment=signs,
        control="all classes equally frequent",
        seeds=3,
        minutes=1.0,
        untested="Transformers.",
    ),
)
