"""The statistics, against tables, other software and brute force."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import PermutationMethod
from scipy.stats import wilcoxon as scipy_wilcoxon

from steepest.bench import stats

INF = math.inf


@pytest.mark.parametrize("n", [5, 8, 13, 20])
def test_wilcoxon_agrees_with_scipy_where_there_are_no_ties(n: int) -> None:
    d = np.random.default_rng(n).normal(0.4, 1.0, n)
    assert stats.wilcoxon(list(d)) == pytest.approx(scipy_wilcoxon(d, method="exact").pvalue, rel=1e-12)


@pytest.mark.parametrize("n", [6, 8, 10, 12])
def test_wilcoxon_agrees_with_scipys_permutations_where_there_are_ties(n: int) -> None:
    """Misses are infinite and tie; scipy tries all 2**n signs there."""
    dice = np.random.default_rng(n)
    d = np.where(dice.random(n) < 0.3, INF, dice.integers(1, 4, n)) * dice.choice([-1.0, 1.0], n)
    assert len(set(np.abs(d))) < n
    permuted = scipy_wilcoxon(d, method=PermutationMethod(n_resamples=2**n)).pvalue
    assert stats.wilcoxon(list(d)) == pytest.approx(permuted, rel=1e-12)
    assert stats.wilcoxon(list(d)) != pytest.approx(scipy_wilcoxon(d, method="exact").pvalue, rel=1e-6)


def test_wilcoxon_known_critical_value() -> None:
    """Tables: n = 10, two-sided 0.05, critical T = 8; so the rank sum 8 is significant and 9 is not."""
    ranks = range(1, 11)
    assert stats.wilcoxon([-r if r in (1, 7) else r for r in ranks]) < 0.05  # negative ranks sum to 8
    assert stats.wilcoxon([-r if r in (2, 7) else r for r in ranks]) > 0.05  # to 9


def test_wilcoxon_is_exact_with_ties_and_infinities() -> None:
    d = [1.0, 1.0, -1.0, 2.0, INF, INF, -INF, 3.0]
    sizes = np.abs(d)
    ranks = [sum(sizes < s) + (sum(sizes == s) + 1) / 2 for s in sizes]
    observed = sum(r for r, x in zip(ranks, d, strict=True) if x > 0)
    sums = [sum(itertools.compress(ranks, signs)) for signs in itertools.product((0, 1), repeat=len(d))]
    upper = np.mean([s >= observed for s in sums])
    lower = np.mean([s <= observed for s in sums])
    assert stats.wilcoxon(d) == pytest.approx(min(1.0, 2 * min(upper, lower)))


def test_wilcoxon_without_differences_shows_nothing() -> None:
    assert stats.wilcoxon([0.0, 0.0]) == 1.0
    assert stats.wilcoxon([]) == 1.0


def test_wilcoxon_is_symmetric() -> None:
    d = [0.3, -0.1, 0.7, 0.9, -0.2, 1.4]
    assert stats.wilcoxon(d) == stats.wilcoxon([-x for x in d])


def test_holm_is_monotone_and_at_most_one() -> None:
    corrected = stats.holm({"a": 0.01, "b": 0.02, "c": 0.02, "d": 0.9})
    assert corrected == pytest.approx({"a": 0.04, "b": 0.06, "c": 0.06, "d": 0.9})


CURVE: list[dict[str, float | None]] = [
    {"step": 0, "ge": 0.0, "seconds": 0.0, "loss": 2.0},
    {"step": 10, "ge": 30.0, "seconds": 0.5, "loss": None},
    {"step": 20, "ge": 60.0, "seconds": 0.9, "loss": 0.9},
    {"step": 30, "ge": 90.0, "seconds": 1.2, "loss": 0.95},
    {"step": 40, "ge": 120.0, "seconds": 1.5, "loss": 1.5},
]


@pytest.mark.parametrize(
    ("target", "clock", "budget", "expected"),
    [
        (1.0, "step", 90, 20),
        (1.0, "ge", 90, 60),
        (1.0, "seconds", 90, 0.9),
        (1.0, "ge", 50, INF),  # reached, but after the budget
        (1.0, "ge", 120, INF),  # reached, and lost again
        (0.92, "ge", 90, INF),
        (1.5, "ge", 120, 60),
        (0.5, "ge", 90, INF),
        (2.0, "ge", 120, 60),  # it began there, and was no number in between
    ],
)
def test_time_to_target(target: float, clock: str, budget: float, expected: float) -> None:
    assert stats.time_to(CURVE, target, clock, budget) == expected


@pytest.mark.parametrize("rivals", [1, 2, 3, 6, 20])
def test_so_many_workloads_are_needed(rivals: int) -> None:
    """Brute force: the smallest corrected p-value of n workloads that all agree."""
    least = next(n for n in range(1, 40) if stats.wilcoxon([float(i) for i in range(1, n + 1)]) * rivals < stats.LEVEL)
    assert stats.workloads_needed(rivals) == least


def test_misses_are_infinite_in_medians() -> None:
    assert stats.median([3.0, INF, 1.0]) == 3.0
    assert stats.median([3.0, INF, INF]) == INF


def test_log_ratio_of_misses() -> None:
    assert stats.log_ratio(INF, INF) == 0.0
    assert stats.log_ratio(INF, 3.0) == INF
    assert stats.log_ratio(3.0, INF) == -INF
    assert stats.log_ratio(2.0, 4.0) == pytest.approx(math.log(0.5))


def test_mean_ratio_counts_a_miss_as_four_times() -> None:
    assert stats.mean_ratio([math.log(2), math.log(8)]) == pytest.approx(4.0)
    assert stats.mean_ratio([INF, 0.0]) == pytest.approx(2.0)
    assert stats.mean_ratio([INF, -INF]) == pytest.approx(1.0)


def test_profile_score_is_the_area_under_the_profile() -> None:
    times = {"a": {"w": 1.0, "v": 4.0, "u": INF}, "b": {"w": 2.0, "v": 2.0, "u": INF}}
    ratios = stats.ratios_to_best(times)
    assert ratios == {"a": {"w": 1.0, "v": 2.0, "u": INF}, "b": {"w": 2.0, "v": 1.0, "u": INF}}
    at = np.linspace(1, stats.R_MAX, 20_001)
    area = np.mean(stats.profile(ratios["a"], list(at)))
    assert stats.profile_score(ratios["a"]) == pytest.approx(area, abs=1e-3)
    assert stats.profile_score({"w": 1.0}) == 1.0
    assert stats.profile_score({"w": stats.R_MAX, "v": INF}) == 0.0


def test_the_best_of_k_is_the_mean_over_all_choices() -> None:
    scores = [0.3, 0.0, 0.9, 0.9, 0.1]
    for k in range(1, 6):
        drawn = [max(c) for c in itertools.combinations(scores, k)]
        assert stats.best_of(scores, k) == pytest.approx(sum(drawn) / len(drawn))
    assert stats.best_of(scores, 9) == 0.9
