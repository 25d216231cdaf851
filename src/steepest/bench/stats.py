"""The few statistics a fair comparison needs, on plain lists, with misses as infinity.

A method that never reaches the target has taken infinitely long: medians, ranks and profiles all know what to do with
that. Two methods are compared by the exact Wilcoxon signed-rank test on the logarithm of the ratio of their median times,
one ratio a workload: seeds of a workload are alike, and many of them say no more about the next workload than few do.
Several methods compared with one reference share one error level by Holm's procedure.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import rankdata

LEVEL = 0.05  # of the test that declares a win
PROFILE = 5  # workloads: below, the steps of a performance profile are too coarse to be read
R_MAX = 4.0  # a method this many times slower than the best on a workload scores nothing there


def time_to(curve: Sequence[Mapping[str, float | None]], target: float, clock: str, budget: float) -> float:
    """What the clock showed at the evaluation from which on the loss was at or below the target to the end.

    Reached means reached and stayed: a curve that rises above the target again has not reached it yet. Infinity if the
    last evaluation within the budget is above the target, or is no number.
    """
    arrived = math.inf
    for point in curve:
        loss, spent = point["loss"], point["ge"]
        if spent is not None and spent > budget * 1.001:
            break
        if loss is None or loss > target:
            arrived = math.inf
        elif arrived == math.inf:
            arrived = float(point[clock] or 0.0)
    return arrived


def median(values: Sequence[float]) -> float:
    """The median; infinity if half or more are."""
    return statistics.median(values) if values else math.inf


def log_ratio(a: float, b: float) -> float:
    """log(a / b) of two times: 0 if both are infinite, or both zero; ±infinity if one is."""
    if a == b:
        return 0.0
    if math.isinf(a) or b == 0:
        return math.inf
    if math.isinf(b) or a == 0:
        return -math.inf
    return math.log(a / b)


def wilcoxon(differences: Sequence[float]) -> float:
    """The two-sided exact p-value of Wilcoxon's signed-rank test that differences are symmetric about zero.

    Zeros are dropped; ties, infinities among them, share the mean of their ranks, and the null distribution is that of
    the ranks as they are (every sign equally likely), so it is exact with ties as well.

    Example:
        >>> wilcoxon([1.1, 2.2, 3.3, 4.4, 5.5, 6.6])  # all of one sign: 2 of 2**6 sign patterns
        0.03125
    """
    d = np.array([x for x in differences if x != 0.0])
    if d.size == 0:
        return 1.0
    doubled = (2 * rankdata(np.abs(d))).astype(int)  # mean ranks are whole or half
    # By hand: scipy.stats.wilcoxon is exact with ties by trying all 2**n signs, which 28 workloads are too many for; its
    # "exact" takes no note of ties, and misses tie.
    ways = np.zeros(int(doubled.sum()) + 1)
    ways[0] = 1.0
    for rank in doubled:  # how often each sum of positive ranks occurs, as a probability
        shifted = np.zeros_like(ways)
        shifted[rank:] = ways[:-rank]
        ways = (ways + shifted) / 2
    observed = int(doubled[d > 0].sum())
    tail = min(ways[: observed + 1].sum(), ways[observed:].sum())
    return float(min(1.0, 2 * tail))


def workloads_needed(rivals: int) -> int:
    """The fewest workloads on which one method can differ significantly from the reference among so many rivals.

    With n workloads the smallest two-sided p-value is 2**(1-n), and Holm multiplies it by the number of rivals.

    Example:
        >>> [workloads_needed(rivals) for rivals in (1, 2, 6)]
        [6, 7, 8]
    """
    return math.floor(math.log2(2 * max(rivals, 1) / LEVEL)) + 1


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """P-values corrected for their number by Holm's step-down procedure.

    Example:
        >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
        {'a': 0.03, 'c': 0.06, 'b': 0.06}
    """
    corrected: dict[str, float] = {}
    highest = 0.0
    for i, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        highest = max(highest, min(1.0, p * (len(p_values) - i)))
        corrected[name] = highest
    return corrected


def mean_ratio(differences: Sequence[float], miss: float = R_MAX) -> float:
    """The geometric mean of ratios given as logarithms; a miss of one side counts as `miss` times slower."""
    bound = math.log(miss)
    finite = [d if math.isfinite(d) else math.copysign(bound, d) for d in differences]
    return math.exp(statistics.fmean(finite)) if finite else math.nan


def ratios_to_best(times: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Times by method and workload, divided by the best method's time on that workload.

    Where no method arrived all ratios are infinite: no method is best.
    """
    workloads = {w for by_workload in times.values() for w in by_workload}
    best = {w: min(by_workload.get(w, math.inf) for by_workload in times.values()) for w in workloads}
    return {
        m: {w: 1.0 if t == best[w] < math.inf else (t / best[w] if 0 < best[w] < math.inf else math.inf)
            for w, t in by_workload.items()}
        for m, by_workload in times.items()
    }  # fmt: skip


def profile(ratios: Mapping[str, float], at: Sequence[float]) -> list[float]:
    """The performance profile: the part of the workloads on which the method is within a factor of the best."""
    return [sum(r <= factor for r in ratios.values()) / len(ratios) for factor in at]


def profile_score(ratios: Mapping[str, float]) -> float:
    """The area under the profile from 1 to R_MAX, between 0 (never near the best) and 1 (always the best)."""
    return statistics.fmean(max(0.0, R_MAX - r) / (R_MAX - 1) for r in ratios.values()) if ratios else 0.0


def best_of(scores: Sequence[float], k: int) -> float:
    """The expected best of k different scores, drawn at random: what k trials would have given, on average.

    All subsets of size k are equally likely; the i-th lowest of n scores is the best of C(i − 1, k − 1) of them. This is
    the curve of Dodge et al. 2019 (Show Your Work, section 3), without replacement. From n on it is the best there is.

    Example:
        >>> [best_of([0.0, 1.0, 0.5], k) for k in (1, 2, 3)]
        [0.5, 0.8333333333333334, 1.0]
    """
    n, k = len(scores), min(k, len(scores))
    return sum(s * math.comb(i, k - 1) for i, s in enumerate(sorted(scores))) / math.comb(n, k)
