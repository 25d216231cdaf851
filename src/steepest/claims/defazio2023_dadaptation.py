"""D-Adaptation finds Adam's learning rate by itself.

Logistic regression and a small net on the digits, cosine schedule. DAdaptAdam from three first estimates is compared
with the best of seven learning rates of Adam. The control freezes the estimate at its first value.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from functools import cache
from types import SimpleNamespace

import steepest
from steepest.claims.base import Bound, Claim, Dots, Measured, Source
from steepest.claims.grids import Score, score, tune
from steepest.claims.tasks import cosine, digits, fit

GRID = tuple(10.0 ** (-4 + 0.5 * k) for k in range(7))  # 1e-4 to 1e-1
STARTS = (1e-8, 1e-6, 1e-4)


class Frozen(steepest.stepsize.DAdaptAdam):
    """D-Adaptation that never raises its estimate."""

    def after(self, sums: Mapping[str, float], memory: dict[str, float], h: SimpleNamespace) -> None:
        """Nothing is learnt."""


@cache
def adaptive(hidden: bool, d0: float, seed: int, steps: int, control: bool) -> Score:
    """DAdaptAdam (in the control with a frozen estimate), scored."""
    task = digits(*([64] if hidden else []), batch=64)

    def make(params: object) -> steepest.Optimizer:
        adam = steepest.direction.Adam(bias_correction=False)
        step = Frozen(d0=d0) if control else steepest.stepsize.DAdaptAdam(d0=d0)
        return steepest.Optimizer(params, direction=adam, step_size=step)

    return score(task, fit(task, make, seed, steps, decay=cosine).model)


@cache
def tuned_linear(seeds: int, steps: int) -> list[float]:
    """Training losses of logistic regression by the best Adam, for each seed."""
    rows = tune(digits(batch=64), lambda g: steepest.Adam(g, nonfinite="propagate"), GRID, seeds, steps, decay=cosine)
    return [min(row[s].train for row in rows) for s in range(seeds)]


@cache
def tuned_net(seeds: int, steps: int) -> float:
    """Held-out accuracy of the net by the best Adam, mean over seeds."""
    task = digits(64, batch=64)
    return max(statistics.mean(
        score(task, fit(task, lambda p, lr=lr: steepest.Adam(p, lr=lr), s, steps, decay=cosine).model).accuracy  # type: ignore[misc]
        for s in range(seeds)) for lr in GRID)  # fmt: skip


def experiment(fast: bool, control: bool) -> Measured:
    """Loss ratio on logistic regression, accuracy on the net, for each first estimate."""
    seeds, steps = (1, 250) if fast else (3, 1_000)
    best = tuned_linear(seeds, steps)
    losses = {d0: [adaptive(False, d0, s, steps, control).train / b for s, b in enumerate(best)] for d0 in STARTS}
    target = tuned_net(seeds, steps)
    rights = {
        d0: statistics.mean(adaptive(True, d0, s, steps, control).accuracy for s in range(seeds)) for d0 in STARTS
    }
    numbers = {
        "ratio_worst": max(statistics.median(r) for r in losses.values()),
        "points_worst": max(100 * (target - r) for r in rights.values()),
        **{f"ratio d0={d0:g}": statistics.median(r) for d0, r in losses.items()},
        **{f"points d0={d0:g}": 100 * (target - r) for d0, r in rights.items()},
    }
    columns = {f"d₀ = {d0:g}": r for d0, r in losses.items()}
    return Measured(numbers, [Dots("logistic loss / best Adam's", "ratio", columns, {"bound": 1.05}, log="y")])


CLAIMS = (
    Claim(
        name="dadapt-matches-tuned-adam",
        sentence="D-Adaptation matches hand-tuned learning rates of Adam without any, from a first estimate that only has "
        "to be small.",
        source=Source("defazio2023dadaptation", "abstract and the experiments"),
        methods=("DAdaptAdam",),
        bounds=(
            Bound("ratio_worst", "≤", 1.05, "training loss of logistic regression relative to the best of seven Adam, median "
                  "over seeds, worst first estimate"),
            Bound("points_worst", "≤", 1.0, "percentage points of the net's accuracy below the best of seven Adam, mean over "
                  "seeds, worst first estimate"),
        ),
        experiment=experiment,
        control="the estimate frozen at its first value",
        seeds=3,
        minutes=1.0,
        untested="The dozen large problems of the paper; the bound d ≤ ‖x₀ - x*‖, proven for dual averaging, which is not in "
        "the library (for DAdaptSGD it does not hold: 1.11 on |x|).",
    ),
)  # fmt: skip
