"""Two methods on the same seeds, each at the best of the same number of learning rates: is one of them better?

The rate is chosen on seeds of its own, so that the seeds that count have chosen nothing. What is reported is the mean of the
paired differences with the half-width of its 90 % interval, by Student's t: a difference that is smaller is none.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from steepest.claims.lab.base import Bound
from steepest.claims.lab.tasks import Fit, Task, best, fit

#: what must be so before there is anything to judge
INSIDE = (Bound("inside", "≥", 1.0, "both learning rates inside of their grids"),)
Maker = Callable[[Any, float], Any]  # parameters and learning rate -> optimizer
#: 95 % quantiles of Student's t by degrees of freedom
_T = {1: 6.314, 2: 2.920, 3: 2.353, 4: 2.132, 5: 2.015, 6: 1.943, 7: 1.895, 8: 1.860, 9: 1.833}


@dataclass(frozen=True)
class Match:
    """What is trained and how.

    Args:
        task: a name for the task.
        make: makes the task.
        steps: of one run.
        score: of a finished run, the smaller the better.
        decay: multiplier of the learning rate as a function of the part that is done.
        seeds: that count.
        tuning: seeds for the choice of the learning rate.
    """

    task: Callable[[], Task]
    steps: int
    score: Callable[[Task, Fit], float]
    decay: Callable[[float], float] | None = None
    seeds: int = 8
    tuning: int = 2

    def run(self, make: Maker, lr: float, seed: int) -> float:
        """The score of one run, infinite where it diverged."""
        task = self.task()
        made = fit(task, lambda p: make(p, lr), seed, self.steps, decay=self.decay)
        score = math.inf if made.diverged else self.score(task, made)
        return score if math.isfinite(score) else math.inf

    def tuned(self, make: Maker, grid: Sequence[float]) -> tuple[float, list[float]]:
        """The learning rate that is best on the tuning seeds, and the scores there of the seeds that count."""
        lr = best({lr: statistics.mean(self.run(make, lr, 1000 + k) for k in range(self.tuning)) for lr in grid})
        return lr, [self.run(make, lr, seed) for seed in range(self.seeds)]


@cache
def scores(
    match: Match, name: str, makers: tuple[tuple[str, Maker], ...], grid: tuple[float, ...]
) -> tuple[float, list[float]]:
    """As ``Match.tuned``, made once."""
    return match.tuned(dict(makers)[name], grid)


def interval(differences: Sequence[float]) -> tuple[float, float]:
    """Mean and half-width of the 90 % interval; a diverged run makes the mean as bad as 10⁹.

    >>> interval([1.0, 2.0, 3.0])
    (2.0, 1.68586279)
    """
    kept = [d if math.isfinite(d) else 1e9 for d in differences]
    n = len(kept)
    if n < 2:
        return kept[0], 0.0
    return statistics.mean(kept), _T[n - 1] * statistics.stdev(kept) / math.sqrt(n)


def compared(match: Match, ours: str, rival: str, makers: Mapping[str, Maker], grids: Mapping[str, Sequence[float]]
             ) -> tuple[dict[str, float], dict[str, list[float]]]:  # fmt: skip
    """Numbers and scores of two tuned methods.

    Returns:
        ``gain``, by how much the score is smaller than the rival's, ``width``, half of its interval, ``least``, the lower end,
        the scores and learning rates of both, and ``inside``, 1 if neither rate is at an end of its grid; scores by name.
    """
    table = tuple(makers.items())
    found = {name: scores(match, name, table, tuple(grids[name])) for name in (ours, rival)}
    mean, width = interval([b - a for a, b in zip(found[ours][1], found[rival][1], strict=True)])
    numbers = {"gain": mean, "width": width, "least": mean - width}
    ends = [found[name][0] in (min(grids[name]), max(grids[name])) for name in (ours, rival)]
    numbers["inside"] = float(not any(ends))
    for role, name in (("ours", ours), ("rival", rival)):
        numbers |= {f"{role}": interval(found[name][1])[0], f"lr {role}": found[name][0]}
    return numbers, {name: row for name, (_, row) in found.items()}
