"""A stochastic line search makes SGD converge linearly under interpolation, and fails far from it.

Consistent least squares: the logarithm of the loss must fall along a straight line. With noisy targets (the control)
the search overfits each mini-batch and the loss stays where it is.
"""

from __future__ import annotations

import math

import numpy as np

import steepest
from steepest.claims.lab.base import Bound, Claim, Lines, Measured, Source
from steepest.claims.lab.interpolation import least_squares
from steepest.claims.stepsize.loizou2021_sps import descent


def straightness(times: list[float], losses: list[float]) -> float:
    """R² of a straight line through log loss, up to where rounding ends the descent (10⁻¹⁰)."""
    points = [(t, math.log(f)) for t, f in zip(times, losses, strict=True) if f > 1e-10]
    x, y = np.array(points).T
    return float(np.corrcoef(x, y)[0, 1] ** 2)


def experiment(fast: bool, control: bool) -> Measured:
    """Loss at the end and straightness, worst seed."""
    seeds, steps = (2, 400) if fast else (5, 1_000)
    ways = []
    for seed in range(seeds):
        task = least_squares(seed, 1.0 if control else 0.0)
        ways.append(descent(task, lambda p, n=task.epoch: steepest.SLS(p, c=0.1, batches_per_epoch=n), seed, steps))  # type: ignore[misc]
    numbers = {"end_worst": max(w[1][-1] for w in ways), "straight_worst": min(straightness(w[0], w[1]) for w in ways)}
    curves = {"SLS": (ways[0][0], [w[1] for w in ways])}
    return Measured(numbers, [Lines("loss relative to the start", "steps", "loss", curves, log="y")])


CLAIMS = (
    Claim(
        name="sls-linear-rate",
        sentence="SGD with a stochastic Armijo line search has the linear rate of full gradient descent when the model "
        "interpolates.",
        source=Source("vaswani2019painless", "theorem for strongly convex losses under interpolation"),
        methods=("SLS",),
        bounds=(
            Bound("end_worst", "≤", 1e-4, "loss at the end relative to the start, worst seed"),
            Bound("straight_worst", ">", 0.95, "R² of a line through log loss, worst seed"),
        ),
        experiment=experiment,
        control="noise of standard deviation 1 in the targets, so that no point fits every row",
        seeds=5,
        minutes=0.5,
        untested="Deep nets, acceleration, and the extragradient variant of the paper.",
    ),
)
