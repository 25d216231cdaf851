"""From request to runs: the same trials for all, none of them on reported seeds, nothing run twice."""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from steepest.bench import contestants, plan, targets
from steepest.bench.errors import UsageError
from steepest.bench.plan import TRIAL_SEED, Settings
from steepest.bench.pool import Event
from steepest.bench.run import Run
from steepest.bench.store import Store
from steepest.bench.tuning import Study, score
from steepest.bench.workloads.own import find


def settings(tiny: str, tmp_path: Path, names: Sequence[str] = ("torch.AdamW", "Counted"), **more: Any) -> Settings:
    return Settings((find(tiny),), tuple(names), 2, tmp_path / "out", **more)


def finished(events: list[Event]) -> list[Run]:
    return [e.run for e in events if e.status]


def test_untouched_runs_have_no_settings_of_ours(tiny: str, tmp_path: Path, methods: dict[str, Any]) -> None:
    events: list[Event] = []
    results = plan.bench(settings(tiny, tmp_path), events.append)
    assert {r.seed for r in finished(events)} == {0, 1}
    assert all(r.hyper == {} for r in finished(events))
    assert results.records[tiny, "torch.AdamW", 0].settings["lr"] == 1e-3


def test_tuning_picks_the_best_trial_and_runs_it_on_seeds_it_has_not_seen(
    tiny: str, tmp_path: Path, methods: dict[str, Any]
) -> None:
    events: list[Event] = []
    asked = settings(tiny, tmp_path, tune=5)
    results = plan.bench(asked, events.append)
    tried = [r for r in finished(events) if r.seed == TRIAL_SEED]
    told = [r for r in finished(events) if r.seed != TRIAL_SEED]
    assert len(tried) == 2 * 5
    assert len(told) == 2 * 2
    assert plan.count(asked) == len(tried) + len(told)
    assert {pair: len(records) for pair, records in results.trials.items()} == {(tiny, m): 5 for m in asked.methods}
    with Store(asked.out) as store:
        for method in asked.methods:
            runs = [r for r in tried if r.method == method]
            records = {r.hyper["lr"]: store.get(r) for r in runs}
            ends = {lr: plan.final_loss(record) for lr, record in records.items() if record is not None}
            chosen = results.chosen[tiny, method]["lr"]
            assert all(r.hyper["lr"] == chosen for r in told if r.method == method)
            assert ends[chosen] < sorted(ends.values())[len(ends) // 2]


def test_a_study_is_taken_up_from_the_store_wherever_it_was_stopped(
    tiny: str, tmp_path: Path, methods: dict[str, Any]
) -> None:
    """Trials by TPE: inside the published space, as many for all, the same after a stop, and better than blind ones."""
    pytest.importorskip("optuna", reason="an extra of its own: steepest[tune]")
    methods["Counted"].space = {"lr": ("log", 1e-6, 10.0)}

    class Stop(Exception):
        pass

    def stopping(after: int) -> Any:
        left = iter(range(after))

        def listen(event: Event) -> None:
            if event.status and next(left, None) is None:
                raise Stop

        return listen

    asked = settings(tiny, tmp_path, ["Counted", "torch.SGD"], tune=20, sampler="tpe")
    for after in (3, 17):
        with pytest.raises(Stop):
            plan.bench(asked, stopping(after))
    assert plan.count_done(asked) == 3 + 1 + 17 + 1  # a listener is told when the record is there
    events: list[Event] = []
    stopped = plan.bench(asked, events.append)
    assert len(finished(events)) == plan.count(asked) - 22
    whole = plan.bench(
        settings(tiny, tmp_path / "whole", ["Counted", "torch.SGD"], tune=20, sampler="tpe"), events.append
    )
    assert stopped.chosen == whole.chosen
    tried = {r.id: r for r in finished(events) if r.method == "Counted" and r.seed == TRIAL_SEED}.values()
    lrs = [r.hyper["lr"] for r in tried]
    assert len(lrs) == 20
    assert all(1e-6 <= lr <= 10.0 and lr == float(f"{lr:.3g}") for lr in lrs)


def test_a_study_learns_from_its_trials() -> None:
    """Of a space of every kind: later trials are better than the first ones, and diverged ones do no harm."""
    pytest.importorskip("optuna", reason="an extra of its own: steepest[tune]")
    study = Study({"lr": ("log", 1e-6, 10.0), "betas": ("choice", (0.9, 0.99), (0.5, 0.9)), "k": ("int", 1, 4),
                   "c": ("linear", 0.0, 1.0)})  # fmt: skip
    losses = list[float]()
    for _ in range(12):
        asked = study.propose(5)
        assert all(h["betas"] in ((0.9, 0.99), (0.5, 0.9)) and h["k"] in (1, 2, 3, 4) for h in asked)
        ends = [abs(math.log10(h["lr"]) + 3) + h["c"] + (h["betas"] == (0.5, 0.9)) for h in asked]
        study.learn([score(math.inf, math.inf if h["lr"] > 1 else end) for h, end in zip(asked, ends, strict=True)])
        losses += ends
    assert sum(losses[-20:]) < 0.7 * sum(losses[:20])


def test_random_trials_are_those_of_the_recorded_results() -> None:
    """What targets.json was tuned with; another draw would make recorded and new results two things."""
    for name in ("AdamW", "SGD"):
        drawn = [contestants.draw(contestants.TORCH[name], trial) for trial in range(30)]
        recorded = [made["hyper"][f"torch.{name}"] for made in json.loads(targets.FILE.read_text("utf-8")).values()]
        assert len(recorded) > 20
        assert [hyper for hyper in recorded if hyper not in json.loads(json.dumps(drawn))] == []


def test_a_method_with_nothing_to_tune_runs_untouched(tiny: str, tmp_path: Path, methods: dict[str, Any]) -> None:
    methods["Counted"].space = {}
    events: list[Event] = []
    plan.bench(settings(tiny, tmp_path, ["Counted"], tune=5), events.append)
    assert [r.hyper for r in finished(events)] == [{}, {}]


def test_what_is_finished_is_not_run_again_and_failures_are(tiny: str, tmp_path: Path, methods: dict[str, Any]) -> None:
    asked = settings(tiny, tmp_path, ["Counted", "Broken"])
    plan.bench(asked, lambda event: None)
    again: list[Event] = []
    plan.bench(asked, again.append)
    assert {r.method for r in finished(again)} == {"Broken"}
    assert plan.count_done(asked) == 2
    more = settings(tiny, tmp_path, ["Counted", "Twice"])
    added: list[Event] = []
    plan.bench(more, added.append)
    assert {r.method for r in finished(added)} == {"Twice"}


def test_one_process_and_two_give_the_same_curves(tiny: str, tmp_path: Path) -> None:
    names = ["torch.AdamW", "torch.SGD"]
    one = plan.bench(Settings((find(tiny),), tuple(names), 2, tmp_path / "one", jobs=1), lambda event: None)
    two = plan.bench(Settings((find(tiny),), tuple(names), 2, tmp_path / "two", jobs=2), lambda event: None)
    for key, record in one.records.items():
        assert [(p["ge"], p["loss"]) for p in record.curve] == [(p["ge"], p["loss"]) for p in two.records[key].curve]


def test_drawing_is_fixed_by_the_trial_and_stays_in_the_space() -> None:
    space = {"lr": ("log", 1e-4, 1.0), "beta": ("linear", 0.5, 0.9), "k": ("int", 1, 3), "s": ("choice", "a", "b")}
    drawn = [contestants.draw(space, t) for t in range(200)]
    assert drawn == [contestants.draw(space, t) for t in range(200)]
    assert all(1e-4 <= h["lr"] <= 1.0 and 0.5 <= h["beta"] <= 0.9 for h in drawn)
    assert {h["k"] for h in drawn} == {1, 2, 3}
    assert {h["s"] for h in drawn} == {"a", "b"}
    logs = [math.log10(h["lr"]) for h in drawn]
    assert sum(x < -2 for x in logs) == pytest.approx(100, abs=25)  # uniform in the logarithm
    fewer = contestants.draw({"lr": space["lr"]}, 7)
    assert fewer["lr"] == drawn[7]["lr"]  # another hyper-parameter moves no other
    assert contestants.draw({"betas": ("choice", (0.9, 0.99), (0.5, 0.9))}, 0)["betas"] in ((0.9, 0.99), (0.5, 0.9))
    with pytest.raises(UsageError, match="kind 'nonsense'"):
        contestants.draw({"x": ("nonsense", 1)}, 0)


def test_the_reference_is_always_there(methods: dict[str, Any]) -> None:
    assert plan.choose_methods("Twice, Counted,Twice") == ("Twice", "Counted", "torch.AdamW")
    assert plan.choose_methods(None)[0] == "torch.AdamW"


def test_the_default_methods_exist() -> None:
    assert set(plan.DEFAULT_METHODS) <= set(contestants.names())


def test_runs_that_changed_code_makes_void_are_named(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once: when they have been made again there is nothing more to say."""
    asked = settings(tiny, tmp_path, ["torch.AdamW", "torch.SGD"])
    assert plan.void(asked) == []
    plan.bench(asked, lambda event: None)
    assert plan.void(asked) == []
    Path("tiny_workload.py").write_text(Path("tiny_workload.py").read_text() + "# edited\n")
    edited = settings(tiny, tmp_path, ["torch.AdamW", "torch.SGD"])
    (text,) = plan.void(edited)
    assert text == (f"4 finished runs are void and made again: the code of {tiny} has changed since (2 of torch.AdamW, "
                    "2 of torch.SGD)")  # fmt: skip
    plan.bench(edited, lambda event: None)
    assert plan.void(edited) == []
    monkeypatch.setattr(plan, "Run", partial(Run, version="9.9"))
    (text,) = plan.void(settings(tiny, tmp_path, ["torch.SGD"]))
    assert text.endswith(f"steepest {Run(tiny, 'm', 0, 1.0).version} made them, and this is 9.9 (2 of torch.SGD)")


def test_code_that_a_workload_takes_from_beside_it_is_part_of_it(tiny: str) -> None:
    alone = find(tiny).fingerprint
    source = Path("tiny_workload.py").read_text()
    assert alone == hashlib.sha256(source.encode()).hexdigest()[:12]  # as it was before others were looked at
    sys.modules.pop("tiny_workload")
    Path("tiny_workload.py").write_text("from tiny_model import width\n" + source)
    Path("tiny_model.py").write_text("from tiny_deeper import size\ndef width():\n    return size\n")
    Path("tiny_deeper.py").write_text("size = 6\n")
    try:
        before = find(tiny).fingerprint
        assert find(tiny).fingerprint == before
        Path("tiny_model.py").write_text(Path("tiny_model.py").read_text() + "# edited\n")
        assert find(tiny).fingerprint != before
    finally:
        for name in ("tiny_model", "tiny_deeper"):
            sys.modules.pop(name, None)


def test_a_target_that_is_met_at_the_start_is_refused(tiny: str, tmp_path: Path) -> None:
    """For the seed that is tried first, and for any other when it begins."""
    path = Path("tiny_workload.py")
    source = path.read_text()
    path.write_text(source.replace("target=4.0", "target=40.0"))
    with pytest.raises(UsageError, match=r"target 40 is met before the first step \(with seed 0 the loss begins at"):
        find(tiny)
    sys.modules.pop("tiny_workload")
    path.write_text(source.replace("target=4.0", "target=40.0 if seed else 4.0"))
    with pytest.raises(UsageError, match="with seed 1 the loss begins at"):
        plan.bench(settings(tiny, tmp_path, ["torch.SGD"]), lambda event: None)
    with pytest.raises(UsageError, match="with seed 1 the loss begins at"):
        plan.bench(settings(tiny, tmp_path, ["torch.SGD"], jobs=2), lambda event: None)


def test_every_torch_method_can_be_built_and_drawn() -> None:
    import torch

    for name, space in contestants.TORCH.items():
        who = contestants.find(f"torch.{name}")
        for trial in range(4):
            who.make([torch.nn.Parameter(torch.zeros(2))], **contestants.draw(space, trial))


def test_a_rival_that_is_not_installed_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(contestants.OTHERS, "no_such_package.Method", {})
    with pytest.raises(UsageError, match="pip install no_such_package"):
        contestants.find("no_such_package.Method")
    assert set(contestants.OTHERS) <= set(contestants.names())
