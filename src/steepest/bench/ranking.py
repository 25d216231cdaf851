"""The answer to "which one should I use, and by how much?", worked out from the records.

Everything is derived here and nothing is stored: times to target from the curves, medians over seeds, standings over
workloads, and one sentence. The sentence names a winner over the reference only if the paired test over workloads says
so after the correction for the number of methods; otherwise it says that there is no significant difference, or that
too little was run to decide. A first look (`--quick`) and a single workload name no winner.

A run that ended in an error is reported as an error. It is no miss: nothing was measured, so it is left out of the ratios
and of the test; and it earns no score.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from steepest.bench.contestants import REFERENCE
from steepest.bench.plan import Results, arrival, final_loss
from steepest.bench.stats import (
    LEVEL,
    best_of,
    holm,
    log_ratio,
    mean_ratio,
    median,
    profile_score,
    ratios_to_best,
    wilcoxon,
    workloads_needed,
)

CLOCKS = ("step", "ge", "seconds")


@dataclass(frozen=True)
class Cell:
    """A method on a workload; times are medians over seeds that ran, infinite if half of them missed."""

    workload: str
    method: str
    steps: float
    ge: float
    seconds: float
    reached: int
    seeds: int
    errors: int
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
        p: of the paired test over workloads, corrected for the number of methods; None: there is no test.
        errors: runs that ended in one.
        state_bytes: median over runs.
        first_step: seconds of the longest first step, which is where something was compiled.
    """

    method: str
    score: float
    reached: float
    ratio: dict[str, float]
    worse: dict[str, float]
    p: float | None
    errors: int
    state_bytes: float
    first_step: float

    @property
    def verdict(self) -> str:
        """One word or two: against the reference."""
        if self.method == REFERENCE:
            return "reference"
        if self.p is None:
            return "–"
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
        """The frozen target, or what the reference's median run ends at; -∞, which no run reaches, if that is no progress."""
        if frozen is not None:
            return frozen
        records = [self.results.records[workload, REFERENCE, s] for s in self.seeds]
        start = min((r.curve[0]["loss"] or 0.0 for r in records if r.curve), default=math.inf)
        loss = median([final_loss(r) for r in records])
        return loss if loss < start else -math.inf

    def times(self, workload: str, method: str, clock: str) -> list[float]:
        """Time to target for every seed; not a number where the run ended in an error."""
        target, budget = self.targets[workload], self.budgets[workload]
        records = (self.results.records[workload, method, s] for s in self.seeds)
        return [math.nan if r.status == "failed" else arrival(r, target, clock, budget) for r in records]

    def _beside(self, workload: str, method: str, clock: str) -> list[tuple[float, float]]:
        """(time of the method, time of the reference) for every seed on which neither ended in an error."""
        both = zip(self.times(workload, method, clock), self.times(workload, REFERENCE, clock), strict=True)
        return [times for times in both if not any(map(math.isnan, times))]

    def pairs(self, method: str, clock: str, workloads: Iterable[str] | None = None) -> list[float]:
        """log(time of the method / time of the reference) for every workload and seed."""
        return [
            log_ratio(mine, reference)
            for w in (self.workloads if workloads is None else workloads)
            for mine, reference in self._beside(w, method, clock)
        ]

    def by_workload(self, method: str) -> dict[str, float]:
        """log(median time of the method / median time of the reference), one number a workload: what is tested."""
        beside = {w: self._beside(w, method, "ge") for w in self.workloads}
        return {
            w: log_ratio(*(median(times) for times in zip(*pairs, strict=True))) for w, pairs in beside.items() if pairs
        }

    @cached_property
    def _p(self) -> dict[str, float]:
        """Corrected p-values of the rivals; none for a first look or a single workload."""
        if self.settings.quick or len(self.workloads) == 1:
            return {}
        return holm({m: wilcoxon([*self.by_workload(m).values()]) for m in self.methods if m != REFERENCE})

    @cached_property
    def cells(self) -> dict[tuple[str, str], Cell]:
        """Every method on every workload."""
        return {(w, m): self._cell(w, m) for w in self.workloads for m in self.methods}

    def _cell(self, w: str, m: str) -> Cell:
        records = [self.results.records[w, m, s] for s in self.seeds]
        steps, ge, seconds = ([t for t in self.times(w, m, clock) if not math.isnan(t)] for clock in CLOCKS)
        accuracy = [r.curve[-1].get("accuracy") for r in records if r.status == "done"]
        known = [a for a in accuracy if a is not None]
        bad = {word: sum(r.status == word for r in records) for word in ("diverged", "failed")}
        notes = [f"{bad['diverged']} diverged"] * (bad["diverged"] > 0) + [many(bad["failed"], "error")] * (
            bad["failed"] > 0
        )
        return Cell(
            w,
            m,
            median(steps),
            median(ge),
            median(seconds),
            sum(math.isfinite(t) for t in ge),
            len(records),
            bad["failed"],
            median([final_loss(r) for r in records if r.status != "failed"]),
            median(known) if known else None,
            ", ".join(notes),
        )

    @cached_property
    def standings(self) -> list[Standing]:
        """Methods from best to worst."""
        ge = {m: {w: self.cells[w, m].ge for w in self.workloads} for m in self.methods}
        relative = ratios_to_best(ge)
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
                    self._p.get(m),
                    sum(self.cells[w, m].errors for w in self.workloads),
                    median([r.state_bytes for r in records if r.status != "failed"] or [math.nan]),
                    max(r.first_step for r in records),
                )
            )
        return sorted(rows, key=lambda s: (-s.score, -s.reached, _last(s.ratio["ge"])))

    @cached_property
    def tuning(self) -> dict[str, list[float]]:
        """Score after 1, 2, … trials, for methods that have something to tune: what so much tuning gives on average.

        A trial scores as a method does in the profile: 1 for the shortest time that any trial of any method needed on
        that workload, 0 from R_MAX times as long. The best of k trials is expected over all choices of k, and the mean is
        over workloads. None for trials that were proposed from those before: they are not alike.
        """
        if self.settings.sampler != "random":
            return {}
        scores: dict[str, list[list[float]]] = {}
        for w in self.workloads:
            tried = {m: records for (where, m), records in self.results.trials.items() if where == w}
            times = {f"{m} {i}": {w: arrival(r, self.targets[w], "ge", self.budgets[w])}
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
    def _rivals(self) -> list[Standing]:
        return [s for s in self.standings if s.method != REFERENCE]

    @property
    def _winners(self) -> list[Standing]:
        return sorted((s for s in self._rivals if s.verdict == "better"), key=lambda s: s.ratio["ge"])

    @property
    def _needed(self) -> int:
        """The fewest workloads on which the test could name a winner among these methods."""
        return workloads_needed(len(self._rivals))

    @property
    def verdict(self) -> str:
        """The headline: a few words."""
        if all(r.status == "failed" for r in self.results.records.values()):
            return "Every run ended in an error"
        if not self._rivals or not any(s.reached for s in self.standings):
            return "No answer yet"
        if self.settings.quick:
            return "A first look"
        if len(self.workloads) == 1:
            return "One workload names no winner"
        if self._winners:
            return f"Use {self._winners[0].method}"
        return f"Stay with {REFERENCE}" if len(self.workloads) >= self._needed else "Too few workloads to decide"

    @property
    def sentence(self) -> str:
        """The recommendation, in one sentence that claims no more than was measured; another for errors."""
        return " ".join(filter(None, (self._said(), self._errors())))

    def _said(self) -> str:
        where = many(len(self.workloads), "workload")
        tuned = many(self.settings.tune, "tuning trial")
        rules = f"after {tuned} each" if self.settings.tune else "with default settings"
        if all(r.status == "failed" for r in self.results.records.values()):
            return "Nothing was measured."
        if not self._rivals:
            return f"Only {REFERENCE} was run, so there is nothing to compare; name methods with --methods."
        if still := [w for w in self.workloads if self.targets[w] == -math.inf]:
            return (f"{REFERENCE} ended no lower than it began on {_and(still)}, so there is no target to reach: give the "
                    "problem a target of its own, or tune with --tune.")  # fmt: skip
        if not any(s.reached for s in self.standings):
            return f"No method reached a target on {where} within the budget; raise --budget, or tune with --tune."
        near = min(self._rivals, key=lambda s: _last(s.ratio["ge"]))
        seen = (f"best seen: {near.method}, {near.ratio['ge']:.2f} times the gradient-equivalents of {REFERENCE}"
                if near.ratio["ge"] < 1.0 else f"no method was faster than {REFERENCE}")  # fmt: skip
        if self.settings.quick:
            return f"A first look at {where} names no winner ({seen}); run without --quick."
        if len(self.workloads) == 1:
            first = sum(d < 0 for d in self.pairs(near.method, "ge"))
            more = f", first on {first} of {many(len(self.seeds), 'seed')}" if near.ratio["ge"] < 1.0 else ""
            return (f"On {self.workloads[0]} {rules}, {seen}{more}; seeds of one workload are no sample of workloads, so "
                    "there is no p-value and no winner: add --workload.")  # fmt: skip
        if self._winners:
            return self._won(f"On {where} {rules}")
        if len(self.workloads) < self._needed:
            return (f"{where} cannot show a difference between {many(len(self.methods), 'method')} ({seen}); it takes "
                    f"{self._needed}: add --workload or compare fewer --methods.")  # fmt: skip
        if near.ratio["ge"] >= 1.0:
            return f"On {where} {rules}, {seen}."
        return (
            f"On {where} {rules}, no method differs significantly from {REFERENCE} for the better: the nearest, "
            f"{near.method}, took {near.ratio['ge']:.2f} times its gradient-equivalents (p {_is(near.p or 0.0)})."
        )

    def _won(self, where: str) -> str:
        first, *more = self._winners
        others = [f"{s.method} ({s.ratio['ge']:.2f}×)" for s in more]
        text = (
            f"{where}, {first.method} reached {first.reached:.0%} of the targets "
            f"({REFERENCE} {self.standing(REFERENCE).reached:.0%}) in {first.ratio['ge']:.2f} times the "
            f"gradient-equivalents (p {_is(first.p or 0.0)} over workloads)"
        )
        if others:
            text += f", and {_and(others)} {'was' if len(others) == 1 else 'were'} better too"
        if first.worse:
            text += "; it was slower on " + _and([f"{w} ({r:.2g}×)" for w, r in first.worse.items()])
        return text + "."

    def _errors(self) -> str:
        """Which methods ended in errors, and in which."""
        lost = [
            f"{s.method} ({s.errors} of {len(self.workloads) * len(self.seeds)} runs)"
            for s in self.standings
            if s.errors
        ]
        first = next((r.error for r in self.results.records.values() if r.status == "failed"), "")
        return f"In an error, which is no miss, ended {_and(lost)}: {first}." if lost else ""


def _last(x: float) -> float:
    """For sorting: what is not a number comes last."""
    return math.inf if math.isnan(x) else x


def many(n: int, noun: str) -> str:
    """A number of things, in words."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _is(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.2g}"


def _and(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def number(x: float | None, digits: int = 3) -> str:
    """A number for a table: ∞ for a miss, no more digits than mean something."""
    if x is None or math.isnan(x) or x == -math.inf:
        return "–"
    if math.isinf(x):
        return "∞"
    if x >= 100 or x == int(x):
        return f"{x:,.0f}"
    return f"{x:.{digits}g}"


def factor(x: float) -> str:
    """A ratio for a table."""
    return "–" if math.isnan(x) else f"{x:.2f}×"


def chance(p: float | None) -> str:
    """A p-value for a table."""
    if p is None:
        return "–"
    return "<0.001" if p < 0.001 else f"{p:.2g}"
