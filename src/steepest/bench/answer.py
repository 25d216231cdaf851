"""The answer to "which one should I use, and by how much?", worked out from the records.

Everything is derived here and nothing is stored: times to target from the curves, medians over seeds, standings over
workloads, and one sentence. The sentence names a winner over the reference only if the paired test says so after the
correction for the number of methods; otherwise it says that there is no significant difference, or that too little was
run to tell.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from steepest.bench.contestants import REFERENCE
from steepest.bench.plan import Results, final_loss
from steepest.bench.stats import (
    LEVEL,
    best_of,
    holm,
    log_ratio,
    mean_ratio,
    median,
    profile_score,
    ratios_to_best,
    time_to,
    wilcoxon,
)

CLOCKS = ("step", "ge", "seconds")


@dataclass(frozen=True)
class Cell:
    """A method on a workload; times are medians over seeds, infinite if half of the seeds missed."""

    workload: str
    method: str
    steps: float
    ge: float
    seconds: float
    reached: int
    seeds: int
    final: float
    accuracy: float | None
    trouble: str


@dataclass(frozen=True)
class Standing:
    """A method over all workloads.

    Attributes:
        score: area under its performance profile, 0 to 1, by gradient-equivalents.
        reached: part of all runs that reached the target.
        ratio: geometric mean of its time over the reference's, for each clock, over pairs of equal workload and seed.
        worse: workloads on which the reference was faster, with the ratio there.
        p: of the paired test, corrected for the number of methods.
        state_bytes: median over runs.
        first_step: seconds of the longest first step, which is where something was compiled.
    """

    method: str
    score: float
    reached: float
    ratio: dict[str, float]
    worse: dict[str, float]
    p: float
    state_bytes: float
    first_step: float

    @property
    def verdict(self) -> str:
        """One word or two: against the reference."""
        if self.method == REFERENCE:
            return "reference"
        if self.p >= LEVEL or self.ratio["ge"] == 1.0:
            return "unclear"
        return "better" if self.ratio["ge"] < 1.0 else "worse"


class Answer:
    """All that tables, figures and the sentence need."""

    def __init__(self, results: Results) -> None:
        self.results, self.settings = results, results.settings
        self.workloads = [w.name for w in self.settings.workloads]
        self.methods = list(self.settings.methods)
        self.seeds = range(self.settings.seeds)
        self.targets = {w.name: self._target(w.name, w.target) for w in self.settings.workloads}
        self.budgets = {w.name: self.settings.budget_of(w) for w in self.settings.workloads}

    def _target(self, workload: str, frozen: float | None) -> float:
        """The frozen target, or what the reference's median run ends at."""
        if frozen is not None:
            return frozen
        loss = median([final_loss(self.results.records[workload, REFERENCE, s]) for s in self.seeds])
        return -math.inf if math.isinf(loss) else loss  # the reference itself was lost: nobody arrives

    def times(self, workload: str, method: str, clock: str) -> list[float]:
        """Time to target for every seed."""
        target, budget = self.targets[workload], self.budgets[workload]
        records = (self.results.records[workload, method, s] for s in self.seeds)
        return [time_to(r.curve, target, clock, budget) for r in records]

    def pairs(self, method: str, clock: str, workloads: Iterable[str] | None = None) -> list[float]:
        """log(time of the method / time of the reference) for every workload and seed."""
        return [
            log_ratio(mine, reference)
            for w in (self.workloads if workloads is None else workloads)
            for mine, reference in zip(self.times(w, method, clock), self.times(w, REFERENCE, clock), strict=True)
        ]

    @cached_property
    def cells(self) -> dict[tuple[str, str], Cell]:
        """Every method on every workload."""
        return {(w, m): self._cell(w, m) for w in self.workloads for m in self.methods}

    def _cell(self, w: str, m: str) -> Cell:
        records = [self.results.records[w, m, s] for s in self.seeds]
        steps, ge, seconds = (self.times(w, m, clock) for clock in CLOCKS)
        accuracy = [r.curve[-1].get("accuracy") for r in records if r.status == "done"]
        known = [a for a in accuracy if a is not None]
        bad = {word: sum(r.status == word for r in records) for word in ("diverged", "failed")}
        return Cell(
            w,
            m,
            median(steps),
            median(ge),
            median(seconds),
            sum(math.isfinite(t) for t in ge),
            len(records),
            median([final_loss(r) for r in records]),
            median(known) if known else None,
            ", ".join(f"{n} {word}" for word, n in bad.items() if n),
        )

    @cached_property
    def standings(self) -> list[Standing]:
        """Methods from best to worst."""
        ge = {m: {w: self.cells[w, m].ge for w in self.workloads} for m in self.methods}
        relative = ratios_to_best(ge)
        p = holm({m: wilcoxon(self.pairs(m, "ge")) for m in self.methods if m != REFERENCE})
        rows = []
        for m in self.methods:
            records = [self.results.records[w, m, s] for w in self.workloads for s in self.seeds]
            by_workload = {w: mean_ratio(self.pairs(m, "ge", [w])) for w in self.workloads}
            rows.append(
                Standing(
                    m,
                    profile_score(relative[m]),
                    sum(self.cells[w, m].reached for w in self.workloads) / len(records),
                    {clock: mean_ratio(self.pairs(m, clock)) for clock in CLOCKS},
                    {w: ratio for w, ratio in by_workload.items() if ratio > 1.0},
                    p.get(m, 1.0),
                    median([r.state_bytes for r in records]),
                    max(r.first_step for r in records),
                )
            )
        return sorted(rows, key=lambda s: (-s.score, -s.reached, s.ratio["ge"]))

    @cached_property
    def tuning(self) -> dict[str, list[float]]:
        """Score after 1, 2, … trials, for methods that have something to tune: what so much tuning gives on average.

        A trial scores as a method does in the profile: 1 for the shortest time that any trial of any method needed on
        that workload, 0 from R_MAX times as long. The best of k trials is expected over all choices of k, and the mean is
        over workloads.
        """
        scores: dict[str, list[list[float]]] = {}
        for w in self.workloads:
            tried = {m: records for (where, m), records in self.results.trials.items() if where == w}
            times = {f"{m} {i}": {w: time_to(r.curve, self.targets[w], "ge", self.budgets[w])}
                     for m, records in tried.items() for i, r in enumerate(records)}  # fmt: skip
            relative = ratios_to_best(times)
            for m, records in tried.items():
                scores.setdefault(m, []).append([profile_score(relative[f"{m} {i}"]) for i in range(len(records))])
        counts = range(1, self.settings.tune + 1)
        return {m: [sum(best_of(row, k) for row in rows) / len(rows) for k in counts] for m, rows in scores.items()}

    def standing(self, method: str) -> Standing:
        """The standing of one method."""
        return next(s for s in self.standings if s.method == method)

    @property
    def verdict(self) -> str:
        """The headline: a few words."""
        rivals = [s for s in self.standings if s.method != REFERENCE]
        if not rivals or not any(s.reached for s in self.standings):
            return "No answer yet"
        winners = [s for s in rivals if s.verdict == "better"]
        if winners:
            return f"Use {min(winners, key=lambda s: s.ratio['ge']).method}"
        return f"Stay with {REFERENCE}" if self._can_tell else "Too few runs to tell"

    @property
    def _can_tell(self) -> bool:
        """Whether the test could have found a winner at all: the smallest possible p, corrected, is below the level."""
        pairs = len(self.workloads) * len(self.seeds)
        return 2.0 ** (1 - pairs) * (len(self.methods) - 1) < LEVEL

    @property
    def sentence(self) -> str:
        """The recommendation, in one sentence that claims no more than was measured."""
        rivals = [s for s in self.standings if s.method != REFERENCE]
        where = many(len(self.workloads), "workload")
        tuned = many(self.settings.tune, "tuning trial")
        rules = f"after {tuned} each" if self.settings.tune else "with default settings"
        if not rivals:
            return f"Only {REFERENCE} was run, so there is nothing to compare; name methods with --methods."
        if not any(s.reached for s in self.standings):
            return f"No method reached a target on {where} within the budget; raise --budget, or tune with --tune."
        pairs = len(self.workloads) * len(self.seeds)
        winners = sorted((s for s in rivals if s.verdict == "better"), key=lambda s: s.ratio["ge"])
        if winners:
            first = winners[0]
            others = [f"{s.method} ({s.ratio['ge']:.2f}×)" for s in winners[1:]]
            text = (
                f"On {where} {rules}, {first.method} reached {first.reached:.0%} of the targets "
                f"({REFERENCE} {self.standing(REFERENCE).reached:.0%}) in {first.ratio['ge']:.2f} times the "
                f"gradient-equivalents ({pairs} pairs, p {_is(first.p)})"
            )
            if others:
                text += f", and {_and(others)} {'was' if len(others) == 1 else 'were'} better too"
            if first.worse:
                text += "; it was slower on " + _and([f"{w} ({r:.2g}×)" for w, r in first.worse.items()])
            return text + "."
        near = min(rivals, key=lambda s: s.ratio["ge"])
        if not self._can_tell:
            return (
                f"{many(pairs, 'pair')} of workload and seed cannot show a difference between "
                f"{many(len(self.methods), 'method')} "
                f"(best seen: {near.method}, {near.ratio['ge']:.2f} times the gradient-equivalents of {REFERENCE}); "
                f"run more --seeds or workloads."
            )
        if near.ratio["ge"] >= 1.0:
            return f"On {where} {rules}, no method was faster than {REFERENCE} ({pairs} pairs)."
        return (
            f"On {where} {rules}, no method differs significantly from {REFERENCE} for the better: the nearest, "
            f"{near.method}, took {near.ratio['ge']:.2f} times its gradient-equivalents ({pairs} pairs, "
            f"p {_is(near.p)})."
        )


def many(n: int, noun: str) -> str:
    """A number of things, in words."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _is(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.2g}"


def _and(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def number(x: float | None, digits: int = 3) -> str:
    """A number for a table: ∞ for a miss, no more digits than mean something."""
    if x is None or math.isnan(x):
        return "–"
    if math.isinf(x):
        return "∞"
    if x >= 100 or x == int(x):
        return f"{x:,.0f}"
    return f"{x:.{digits}g}"


def factor(x: float) -> str:
    """A ratio for a table."""
    return "–" if math.isnan(x) else f"{x:.2f}×"


def chance(p: float) -> str:
    """A p-value for a table."""
    return "<0.001" if p < 0.001 else f"{p:.2g}"
