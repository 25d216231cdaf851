"""Hyper-parameters proposed by Optuna from the trials before: tree-structured Parzen estimators in the published space.

A study is nothing but its seed and the results of its trials, which the store has: after a kill the same trials are
proposed again, and those that are stored are not run again. Trials are proposed a round at a time, so that what is
proposed does not depend on how many run at once, nor on which of them ends first.

Source: Bergstra et al. 2011, Algorithms for Hyper-Parameter Optimization, section 4, as in `optuna.samplers.TPESampler`.
"""

from __future__ import annotations

import math
from typing import Any

from steepest.bench.contestants import Hyper, Space, options, rounded
from steepest.bench.errors import UsageError

try:
    import optuna
except ModuleNotFoundError:  # an extra of its own; making a study raises the error
    optuna = None  # type: ignore[assignment]

ROUND = 5  # trials proposed at once
SEED = 10_000


def check() -> None:
    """Finds out whether there can be a study.

    Raises:
        UsageError: Optuna is not installed.
    """
    if optuna is None:
        raise UsageError('--sampler tpe needs the package optuna: pip install "steepest[tune]"')


class Study:
    """The trials of one method on one workload.

    Raises:
        UsageError: Optuna is not installed.
    """

    def __init__(self, space: Space) -> None:
        check()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(seed=SEED, constant_liar=True)  # of a round that has not ended, too
        self._space, self._study = space, optuna.create_study(sampler=sampler)
        self._proposed: list[Any] = []

    def propose(self, number: int) -> list[Hyper]:
        """The hyper-parameters of so many trials more."""
        what = {name: _distribution(*given) for name, given in sorted(self._space.items())}
        self._proposed = [self._study.ask(what) for _ in range(number)]
        return [
            {name: _value(trial.params[name], *self._space[name]) for name in what} for trial in self._proposed
        ]  # fmt: skip

    def learn(self, scores: list[float]) -> None:
        """The scores of the trials that were proposed last, in their order; lower is better."""
        for trial, score in zip(self._proposed, scores, strict=True):
            self._study.tell(trial, score)


def score(arrived: float, final: float) -> float:
    """One number with the order of (arrival at the target as a part of the budget, final loss); infinities last.

    Example:
        >>> from math import inf
        >>> times = [score(0.2, 1.0), score(0.9, 0.1), score(inf, -5.0), score(inf, 7.0), score(inf, inf)]
        >>> times == sorted(times)
        True
    """
    return arrived if math.isfinite(arrived) else 3 + math.atan(final)


def _distribution(kind: str, *bounds: Any) -> Any:
    """Optuna's distribution of a range; a choice by its number, for Optuna's choices are no tuples."""
    if kind == "choice":
        return optuna.distributions.CategoricalDistribution(range(len(options(bounds))))
    if kind == "int":
        return optuna.distributions.IntDistribution(*bounds)
    low, high = bounds
    return optuna.distributions.FloatDistribution(low, high, log=kind == "log")


def _value(drawn: Any, kind: str, *bounds: Any) -> Any:
    if kind == "choice":
        return options(bounds)[drawn]
    return drawn if kind == "int" else rounded(drawn)
