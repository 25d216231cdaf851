"""From the request to the runs: which runs, in which order, and which hyper-parameters after tuning.

Two rulesets. *Untouched*: every method with the defaults of its paper, on every workload. *Tuned*: every method gets
the same number of trials from its published search space on a seed that is used for nothing else, drawn at random or
proposed by Optuna from the trials before; the trial that reaches the target first, or else ends lowest, is chosen, and
only then run on the seeds that are reported.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from steepest.bench import contestants
from steepest.bench.contestants import REFERENCE, Hyper
from steepest.bench.errors import UsageError
from steepest.bench.pool import Backend, Listener, carry_out
from steepest.bench.problem import Workload
from steepest.bench.run import Record, Run
from steepest.bench.stats import time_to
from steepest.bench.store import NAME, Store
from steepest.bench.tuning import ROUND, Study, score
from steepest.bench.workloads import DEFAULT, QUICK
from steepest.bench.workloads.own import find as find_workload

Sampler = Literal["random", "tpe"]
TRIAL_SEED = 10_000  # trials never see the weights and batches of a reported run


Complete = Callable[[Sequence[Run]], None]


@dataclass(frozen=True)
class Settings:
    """A request.

    Attributes:
        workloads: in the order of the report.
        methods: likewise; the reference is among them.
        seeds: 0 … seeds−1 are run.
        out: the folder of the store and the report.
        budget: gradient-equivalents a run, or None: each workload's own.
        tune: trials a method and workload; 0: untouched.
        jobs: runs at a time; -1: as many as the cluster has processors.
        quick: whether this is a first look, which names no winner.
        sampler: of trials: "random", with which the recorded targets and results were tuned, or Optuna's "tpe".
        backend: where they run: "loky" on this machine, "ray" or "dask" on a cluster.
    """

    workloads: tuple[Workload, ...]
    methods: tuple[str, ...]
    seeds: int
    out: Path
    budget: float | None = None
    tune: int = 0
    jobs: int = 1
    quick: bool = False
    sampler: Sampler = "random"
    backend: Backend = "loky"

    def budget_of(self, workload: Workload) -> float:
        """Gradient-equivalents of a run on that workload."""
        return self.budget or workload.budget


@dataclass(frozen=True)
class Results:
    """All records, by (workload, method, seed), the hyper-parameters that tuning chose, and the trials before."""

    settings: Settings
    records: dict[tuple[str, str, int], Record]
    chosen: dict[tuple[str, str], Hyper]
    trials: dict[tuple[str, str], list[Record]] = field(default_factory=dict)


DEFAULT_METHODS = (REFERENCE, "Auto", "ADOPT", "Lion", "SAM", "PoNoS", "DoG")  # one of each kind


def choose_methods(given: str | None) -> tuple[str, ...]:
    """The methods named, with the reference among them: without it there is nothing to compare with.

    Args:
        given: names with commas between, or None for the defaults.

    Raises:
        UsageError: for a name that does not exist.
    """
    if given is None:
        return DEFAULT_METHODS
    names = [name.strip() for name in given.split(",") if name.strip()]
    if not names:
        raise UsageError(f"--methods got {given!r}; give names with commas between, for example --methods ADOPT,SAM")
    for name in names:
        contestants.find(name)
    return tuple(dict.fromkeys([*names, REFERENCE]))


def choose_workloads(given: Sequence[str], quick: bool, warn: Callable[[str], None]) -> tuple[Workload, ...]:
    """The workloads named, less those that this machine cannot run.

    Args:
        given: names; none for the defaults.
        quick: whether the defaults are the short list.
        warn: called with the reason where a workload is left out.

    Raises:
        UsageError: for a name that does not exist, or if none is left.
    """
    chosen = [find_workload(name) for name in dict.fromkeys(given or (QUICK if quick else DEFAULT))]
    reasons = {w.name: w.reason_to_skip() for w in chosen}
    left = tuple(w for w in chosen if reasons[w.name] is None)
    skipped = [f"workload {name!r} is skipped: {reason}" for name, reason in reasons.items() if reason]
    if not left:
        raise UsageError("; ".join(skipped))
    for text in skipped:
        warn(text)
    return left


def _run(settings: Settings, workload: Workload, method: str, seed: int, hyper: Hyper) -> Run:
    return Run(workload.name, method, seed, settings.budget_of(workload), hyper, workload.fingerprint)


def tunable(settings: Settings) -> list[tuple[Workload, str]]:
    """The pairs of a workload and a method with something to tune."""
    pairs = ((workload, method) for workload in settings.workloads for method in settings.methods)
    return [pair for pair in pairs if settings.tune and contestants.find(pair[1]).space]


def trials(settings: Settings, store: Store | None, complete: Complete) -> dict[tuple[str, str], list[Run]]:
    """The tuning runs of every (workload, method); none for a method with nothing to tune.

    Args:
        settings: the request.
        store: where the results are, from which later trials are proposed; None: there are none yet.
        complete: carries out runs; if it does not, trials that depend on their results are left out.
    """
    plan: dict[tuple[str, str], list[Run]] = {(w.name, m): [] for w, m in tunable(settings)}
    studies = {(w.name, m): Study(contestants.find(m).space) for w, m in tunable(settings) if settings.sampler == "tpe"}
    size = ROUND if studies else max(1, settings.tune)
    for begin in range(0, settings.tune, size):
        numbers, planned = range(begin, min(begin + size, settings.tune)), dict[tuple[str, str], list[Run]]()
        for w, m in tunable(settings):
            space, study = contestants.find(m).space, studies.get((w.name, m))
            drawn = study.propose(len(numbers)) if study else [contestants.draw(space, trial) for trial in numbers]
            planned[w.name, m] = [_run(settings, w, m, TRIAL_SEED, hyper) for hyper in drawn]
            plan[w.name, m] = list({run.id: run for run in plan[w.name, m] + planned[w.name, m]}.values())
        complete(list({run.id: run for runs in planned.values() for run in runs}.values()))
        for w, m in tunable(settings) if studies else ():
            records = [store.get(run) if store else None for run in planned[w.name, m]]
            if None in records:
                return plan
            budget = settings.budget_of(w)
            studies[w.name, m].learn([
                score((math.inf if w.target is None else arrival(r, w.target, "ge", budget)) / budget, final_loss(r))
                for r in records if r is not None
            ])  # fmt: skip
    return plan


def reported(settings: Settings, chosen: dict[tuple[str, str], Hyper]) -> list[Run]:
    """The runs that are reported; methods of one workload and seed are neighbours in time."""
    return [
        _run(settings, workload, method, seed, chosen.get((workload.name, method), {}))
        for seed in range(settings.seeds)
        for workload in settings.workloads
        for method in settings.methods
    ]


def arrival(record: Record, target: float, clock: str, budget: float) -> float:
    """When the run had reached the target for good; infinity if it did not, or did not get to its end."""
    return time_to(record.curve, target, clock, budget) if record.status == "done" else math.inf


def final_loss(record: Record) -> float:
    """The held-out loss at the end; infinity if the run did not get there."""
    last = record.curve[-1]["loss"] if record.status == "done" else None
    return math.inf if last is None else last


def best(runs: Sequence[Run], store: Store, target: float | None) -> Hyper:
    """The hyper-parameters of the trial that reached the target first, or else ended lowest."""

    def order(run: Run) -> tuple[float, float]:
        record = store.get(run)
        assert record is not None
        arrived = math.inf if target is None else arrival(record, target, "ge", run.budget)
        return arrived, final_loss(record)

    return min(runs, key=order).hyper


def needed(settings: Settings, store: Store | None) -> list[Run]:
    """The runs that are known to be needed; before tuning has ended the reported ones are not known yet."""
    known = trials(settings, store, lambda runs: None)
    return [run for runs in known.values() for run in runs] if settings.tune else reported(settings, {})


def count(settings: Settings) -> int:
    """How many runs will be needed, finished ones included."""
    tuning = len(tunable(settings)) * settings.tune
    if settings.sampler == "random":  # trials that are alike are known beforehand
        tuning = sum(map(len, trials(settings, None, lambda runs: None).values()))
    return tuning + len(reported(settings, {}))


def count_done(settings: Settings) -> int:
    """How many of them the store has; after tuning the reported runs are not known yet and count as missing."""
    if not (settings.out / NAME).is_file():
        return 0
    with Store(settings.out) as store:
        return sum((got := store.get(run)) is not None and got.status != "failed" for run in needed(settings, store))


def void(settings: Settings) -> list[str]:
    """Sentences about finished runs that are made again because code has changed since: whose, and which code."""
    if not (settings.out / NAME).is_file():
        return []

    def same(run: Run) -> tuple[object, ...]:
        return run.workload, run.method, run.seed, run.budget, json.dumps(run.hyper, sort_keys=True)

    causes: dict[str, Counter[str]] = {}  # cause → method → runs
    with Store(settings.out) as store:
        missing = {same(run): run for run in needed(settings, store) if store.get(run) is None}
        latest = {same(old): old for old in store.runs()}
    for old, new in ((latest[what], new) for what, new in missing.items() if what in latest):
        cause = f"steepest {old.version} made them, and this is {new.version}"
        if old.fingerprint != new.fingerprint:
            cause = f"the code of {new.workload} has changed since"
        causes.setdefault(cause, Counter())[old.method] += 1
    return [
        f"{methods.total()} finished run{'s are' if methods.total() > 1 else ' is'} void and made again: {cause} "
        f"({', '.join(f'{n} of {method}' for method, n in sorted(methods.items()))})"
        for cause, methods in causes.items()
    ]


def bench(settings: Settings, listen: Listener) -> Results:
    """Carries out everything that the store does not have yet, and returns it all.

    A run that failed with an exception is tried again: the cause may have gone. A run that diverged is not.
    """
    with Store(settings.out) as store:

        def complete(runs: Sequence[Run]) -> None:
            missing = [run for run in runs if (got := store.get(run)) is None or got.status == "failed"]
            carry_out(missing, settings.out, settings.jobs, listen, settings.backend)

        tuning = trials(settings, store, complete)
        targets = {w.name: w.target for w in settings.workloads}
        chosen = {pair: best(runs, store, targets[pair[0]]) for pair, runs in tuning.items()}
        final = reported(settings, chosen)
        complete(final)
        records = {(run.workload, run.method, run.seed): store.get(run) for run in final}
        tried = {pair: [r for run in runs if (r := store.get(run)) is not None] for pair, runs in tuning.items()}
    return Results(settings, {key: r for key, r in records.items() if r is not None}, chosen, tried)
