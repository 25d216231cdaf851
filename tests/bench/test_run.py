"""One run: fair to every method, honest about how it ended, and continued bit for bit."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch

import steepest
from steepest.bench import contestants
from steepest.bench import run as run_module
from steepest.bench.problem import Problem, Workload
from steepest.bench.run import Record, Run, execute


def without_seconds(record: Record) -> list[dict[str, Any]]:
    return [{k: v for k, v in point.items() if k != "seconds"} for point in record.curve]


def use(monkeypatch: pytest.MonkeyPatch, build: Callable[[int], Problem]) -> None:
    monkeypatch.setattr(run_module, "find_workload", lambda name: Workload(name, "", build, 60))


def simple(seed: int, **change: Any) -> Problem:
    x = torch.arange(1.0, 9.0).unsqueeze(1)
    given = Problem(
        torch.nn.Linear(1, 1),
        lambda model, batch: (model(batch) - 2 * batch).square().mean(),
        lambda k: x[k % 8 : k % 8 + 1],
        lambda model: {"loss": (model(x) - 2 * x).square().mean().item()},
    )
    return replace(given, **change)


def test_all_methods_start_from_the_same_weights_and_see_the_same_batches(
    monkeypatch: pytest.MonkeyPatch, methods: dict[str, Any]
) -> None:
    seen: list[list[float]] = []

    def build(seed: int) -> Problem:
        given, batches = simple(seed), list[float]()
        seen.append(batches)

        def loss(model: torch.nn.Module, batch: torch.Tensor) -> torch.Tensor:
            if not batches or batches[-1] != batch.item():
                batches.append(batch.item())
            return given.loss(model, batch)

        return replace(given, loss=loss)

    use(monkeypatch, build)
    records = [execute(Run("w", name, 3, 60.0)) for name in ("torch.SGD", "Counted", "Twice")]
    assert len({r.curve[0]["loss"] for r in records}) == 1
    assert seen[0] == seen[1]
    assert seen[0][: len(seen[2])] == seen[2]
    other = execute(Run("w", "torch.SGD", 4, 60.0))
    assert other.curve[0]["loss"] != records[0].curve[0]["loss"]


def test_the_budget_buys_half_as_many_steps_of_a_method_with_two_gradients(
    monkeypatch: pytest.MonkeyPatch, methods: dict[str, Any]
) -> None:
    use(monkeypatch, simple)
    one, two = (execute(Run("w", name, 0, 60.0)).curve[-1] for name in ("Counted", "Twice"))
    assert (one["step"], one["ge"]) == (20, 60)
    assert (two["step"], two["ge"]) == (10, 60)


def test_a_closure_asked_twice_by_a_torch_optimizer_is_counted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, simple)
    monkeypatch.setitem(contestants.TORCH, "LBFGS", {})
    record = execute(Run("w", "torch.LBFGS", 0, 60.0, {"max_iter": 4}))
    assert record.status == "done", record.error
    point = record.curve[1]
    assert (point["ge"] or 0) > 3 * (point["step"] or 0) > 0


class Swapping(torch.optim.SGD):
    """Hands over other weights than it trains, in the style of Schedule-Free: everything is 2 in evaluation."""

    def eval(self) -> None:
        self.kept = [p.detach().clone() for p in self.param_groups[0]["params"]]
        for p in self.param_groups[0]["params"]:
            p.data.fill_(2.0)

    def train(self) -> None:
        for p, x in zip(self.param_groups[0]["params"], self.kept, strict=True):
            p.data.copy_(x)


def test_what_is_evaluated_is_what_a_method_hands_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Averages are put in for the evaluation and taken out again; training hears nothing of it."""
    use(monkeypatch, simple)
    monkeypatch.setattr(torch.optim, "Swapping", Swapping, raising=False)
    monkeypatch.setitem(contestants.TORCH, "Swapping", {})
    plain, swapped = (execute(Run("w", f"torch.{name}", 0, 60.0, {"lr": 1e-2})) for name in ("SGD", "Swapping"))
    assert [p["loss"] for p in swapped.curve] == [4.0] * len(swapped.curve)  # 2 x + 2 against 2 x
    assert [p["train"] for p in swapped.curve] == [p["train"] for p in plain.curve]

    monkeypatch.setattr(steepest.point.Average, "answer", lambda self, p, state: torch.full_like(p, 2.0))
    auto = execute(Run("w", "Auto", 0, 60.0))
    assert auto.status == "done", auto.error
    assert [p["loss"] for p in auto.curve[1:]] == [4.0] * (len(auto.curve) - 1)


def test_divergence_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, simple)
    record = execute(Run("w", "torch.SGD", 0, 600.0, {"lr": 1e9}))
    assert record.status == "diverged"
    assert record.curve[-1]["loss"] is None
    assert (record.curve[-1]["ge"] or 0) < 600


def test_a_method_that_raises_is_recorded(monkeypatch: pytest.MonkeyPatch, methods: dict[str, Any]) -> None:
    use(monkeypatch, simple)
    record = execute(Run("w", "Broken", 0, 60.0))
    assert (record.status, record.error) == ("failed", "ValueError: needs per-example gradients")
    assert len(record.curve) == 1
    assert "in step" in record.traceback
    assert record.traceback.endswith("ValueError: needs per-example gradients\n")


def test_a_loss_that_raises_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def my_loss(model: torch.nn.Module, batch: torch.Tensor) -> torch.Tensor:
        raise IndexError("row 9 of 8")

    use(monkeypatch, lambda seed: simple(seed, loss=my_loss))
    for method in ("torch.SGD", "AdamW"):
        record = execute(Run("w", method, 0, 60.0))
        assert (record.status, record.error) == ("failed", "IndexError: row 9 of 8")
        assert "in my_loss" in record.traceback


def test_a_workload_that_raises_for_one_seed_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(seed: int) -> Problem:
        raise RuntimeError("no data for this seed")

    use(monkeypatch, build)
    assert execute(Run("w", "torch.SGD", 7, 60.0)).error == "RuntimeError: no data for this seed"


def test_first_step_data_and_evaluation_are_not_on_the_clock(
    monkeypatch: pytest.MonkeyPatch, methods: dict[str, Any]
) -> None:
    given = simple(0)
    asked = [0]

    def slow_first(model: torch.nn.Module, batch: torch.Tensor) -> torch.Tensor:
        time.sleep(0.0 if asked[0] else 0.3)
        asked[0] += 1
        return given.loss(model, batch)

    def slow_batch(k: int) -> torch.Tensor:
        time.sleep(0.02)
        return given.batch(k)

    def slow_evaluation(model: torch.nn.Module) -> dict[str, float]:
        time.sleep(0.02)
        return dict(given.evaluate(model))

    use(monkeypatch, lambda seed: replace(given, loss=slow_first, batch=slow_batch, evaluate=slow_evaluation))
    record = execute(Run("w", "torch.SGD", 0, 60.0))
    assert record.first_step >= 0.3
    assert 0 < (record.curve[-1]["seconds"] or 0) < 0.2  # 20 steps; batches and evaluations would add 0.8


RESUMED: list[tuple[str, dict[str, Any]]] = [
    ("torch.AdamW", {}),
    ("torch.SGD", {"lr": 0.05, "momentum": 0.9}),
    *((name, {}) for name in ("ADOPT", "MARS", "SAM", "PoNoS", "DoG", "MeZO", "LookaheadAdamW")),
]


@pytest.mark.parametrize(("method", "hyper"), RESUMED, ids=[name for name, _ in RESUMED])
def test_a_run_stopped_inside_goes_on_bit_for_bit(tiny: str, method: str, hyper: dict[str, Any]) -> None:
    run = Run(tiny, method, 1, 120.0, hyper)
    whole = execute(run)
    states: list[bytes] = []
    kept = execute(run, save=states.append, save_every=0.0)
    assert without_seconds(kept) == without_seconds(whole)  # saving changes nothing
    for state in (states[2], states[len(states) // 2]):
        torch.manual_seed(99)
        resumed = execute(run, checkpoint=state)
        assert without_seconds(resumed) == without_seconds(whole)
        assert resumed.status == "done"


def test_a_checkpoint_is_taken_up_and_not_run_from_the_start(tiny: str) -> None:
    run = Run(tiny, "torch.AdamW", 1, 120.0)
    states: list[bytes] = []
    execute(run, save=states.append, save_every=0.0)
    told: list[float] = []
    execute(run, checkpoint=states[20], progress=told.append)
    assert min(told) > 0.5


def test_a_fault_of_the_listener_is_not_blamed_on_the_method(tiny: str) -> None:
    def full(state: bytes) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        execute(Run(tiny, "torch.SGD", 0, 60.0), save=full, save_every=0.0)


def test_the_callers_random_state_is_left_alone(tiny: str) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    execute(Run(tiny, "torch.SGD", 0, 30.0))
    assert torch.equal(before, torch.get_rng_state())


def test_identity_changes_with_every_part_of_the_description() -> None:
    base = Run("w", "m", 0, 60.0, {"lr": 0.1}, "f", "1")
    others = [
        replace(base, workload="v"),
        replace(base, method="n"),
        replace(base, seed=1),
        replace(base, budget=61.0),
        replace(base, hyper={"lr": 0.2}),
        replace(base, fingerprint="g"),
        replace(base, version="2"),
    ]
    assert len({r.id for r in [base, *others]}) == len(others) + 1
    assert Run("w", "m", 0, 60.0, {"lr": 0.1}, "f", "1").id == base.id


def test_what_is_recorded_about_memory_and_settings(tiny: str) -> None:
    record = execute(Run(tiny, "torch.AdamW", 0, 30.0, {"lr": 0.01}))
    assert record.settings["lr"] == 0.01
    assert record.settings["weight_decay"] == 0.01  # torch's default, not asked for
    assert f"torch {torch.__version__}" in record.where["versions"]
    assert "cores" in record.where["machine"]
    assert record.state_bytes == 8  # two float32 for each of 6 weights and a bias


@pytest.mark.parametrize(
    ("make", "bytes_each"),
    [
        (torch.optim.AdamW, 8.0),
        (partial(torch.optim.SGD, momentum=0.9), 4.0),
        (torch.optim.SGD, 0.0),
        (torch.optim.RMSprop, 4.0),
        (steepest.AdamW, 8.0),
        (partial(steepest.Lion, codec="bfloat16"), 2.0),
        (partial(steepest.Lion, codec="int8"), 1.0 + 4 * 3 / 6),  # a scale of four bytes a tensor, for 6 numbers
        (steepest.DoG, 4.0),
    ],
)
def test_state_of_small_tensors_is_counted(make: Any, bytes_each: float) -> None:
    """Tensors of one element and of no axis have state as others do; step counters are not it."""
    params = [torch.nn.Parameter(torch.ones(shape)) for shape in ((), (1,), (2, 2))]
    opt = make(params)
    for p in params:
        p.grad = torch.ones_like(p)
    opt.step()
    assert contestants.state_bytes(opt, params) == pytest.approx(bytes_each)
