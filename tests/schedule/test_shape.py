"""Schedules as torch has them: values to the bit, groups, resume, chains, sequences, learning rates that are tensors."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import ChainedScheduler, ExponentialLR, LinearLR, LRScheduler, SequentialLR

import steepest
from steepest.schedule import LinearDecay, Refined, Shape, Table

NORMS = [3.0, 2.0, 1.0, 1.0, 1.5, 1.0, 1.0, 2.0, 1.0, 0.5]
MAKES: dict[str, Callable[[Any], Shape]] = {
    "linear": lambda opt: LinearDecay(opt, 10),
    "warmup": lambda opt: LinearDecay(opt, 10, warmup=3),
    "refined": lambda opt: Refined(opt, NORMS, tau=0.3),
    "table": lambda opt: Table(opt, [0.5, 1.0, 0.2], steps=10),
}


def weights(*values: float) -> list[torch.nn.Parameter]:
    return [torch.nn.Parameter(torch.tensor([v])) for v in values]


def step(opt: torch.optim.Optimizer) -> None:
    for group in opt.param_groups:
        for p in group["params"]:
            p.grad = p.detach().clone()
    opt.step()


def rates(opt: torch.optim.Optimizer, schedule: Any, steps: int) -> list[list[float]]:
    """Learning rates of the groups in so many steps."""
    seen = []
    for _ in range(steps):
        seen.append([float(group["lr"]) for group in opt.param_groups])
        step(opt)
        schedule.step()
    return seen


@pytest.mark.parametrize("make", [steepest.SGD, steepest.AdamW, steepest.DoG, torch.optim.SGD, torch.optim.AdamW])
@pytest.mark.parametrize("name", MAKES)
def test_the_rate_is_the_initial_one_times_the_factor(name: str, make: Any) -> None:
    a, b = weights(1.0, 2.0)
    opt = make([{"params": [a], "lr": 0.3}, {"params": [b], "lr": 0.7}])
    schedule = MAKES[name](opt)
    seen = rates(opt, schedule, 10)
    assert seen == [[0.3 * schedule.factor(t), 0.7 * schedule.factor(t)] for t in range(10)]
    assert len({row[0] for row in seen}) > 3


def test_linear_decay_is_torchs_without_a_warmup() -> None:
    ours, theirs = (torch.optim.SGD(weights(1.0), lr=0.3) for _ in range(2))
    got = rates(ours, LinearDecay(ours, 50), 50)
    assert np.allclose(got, rates(theirs, LinearLR(theirs, 1.0, 0.0, 50), 50), rtol=1e-12)
    assert got[0] == [0.3]
    assert got[-1] == [0.3 / 50]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", MAKES)
def test_a_rate_that_is_a_tensor_stays_the_same_tensor(name: str, dtype: torch.dtype) -> None:
    lr = torch.tensor(0.3, dtype=dtype)
    opt = steepest.Optimizer(weights(1.0), lr=lr)
    held = opt.param_groups[0]["lr"]
    schedule = MAKES[name](opt)
    seen = rates(opt, schedule, 10)
    assert opt.param_groups[0]["lr"] is held
    known = [[float(torch.tensor(0.3, dtype=dtype) * schedule.factor(t))] for t in range(10)]
    assert seen == known


@pytest.mark.parametrize("name", MAKES)
def test_resume_is_to_the_bit(name: str) -> None:
    """Saved as plain data at every step, and continued by new objects."""
    opt = steepest.AdamW(weights(1.0, 2.0), lr=0.3)
    schedule = MAKES[name](opt)
    whole = rates(opt, schedule, 10)
    end = [p.detach().clone() for p in opt.param_groups[0]["params"]]
    for k in range(1, 10):
        first = steepest.AdamW(weights(1.0, 2.0), lr=0.3)
        schedule = MAKES[name](first)
        rates(first, schedule, k)
        file = io.BytesIO()
        values = [p.detach() for p in first.param_groups[0]["params"]]
        torch.save({"opt": first.state_dict(), "schedule": schedule.state_dict(), "x": values}, file)
        file.seek(0)
        saved = torch.load(file, weights_only=True)
        x = [torch.nn.Parameter(v) for v in saved["x"]]
        other = steepest.AdamW(x, lr=0.3)
        schedule = MAKES[name](other)
        other.load_state_dict(saved["opt"])
        schedule.load_state_dict(saved["schedule"])
        assert rates(other, schedule, 10 - k) == whole[k:]
        assert [p.detach() for p in x] == end


def test_two_in_a_chain_multiply() -> None:
    for second in (lambda o: ExponentialLR(o, 0.5), lambda o: LinearDecay(o, 4), lambda o: Table(o, [1.0] * 9)):
        alone, opt = (torch.optim.SGD(weights(1.0), lr=0.8) for _ in range(2))
        factors = [row[0] / 0.8 for row in rates(alone, second(alone), 4)]
        chain = ChainedScheduler([LinearDecay(opt, 8, warmup=2), second(opt)])
        shape = LinearDecay(torch.optim.SGD(weights(1.0)), 8, warmup=2)
        known = [0.8 * shape.factor(t) * factors[t] for t in range(4)]
        assert np.allclose([row[0] for row in rates(opt, chain, 4)], known, rtol=1e-12)


@pytest.mark.filterwarnings("ignore:The epoch parameter")  # torch's own, about its own call, in some versions
def test_one_after_another() -> None:
    opt = steepest.SGD(weights(1.0), lr=0.8)
    parts: list[LRScheduler] = [Table(opt, [0.25, 0.5, 0.75]), LinearDecay(opt, 4)]
    both = SequentialLR(opt, parts, milestones=[3])
    seen = [row[0] for row in rates(opt, both, 7)]
    assert np.allclose(seen, [0.2, 0.4, 0.6, 0.8, 0.6, 0.4, 0.2])


def test_a_rate_changed_by_hand_stays_changed() -> None:
    opt = torch.optim.SGD(weights(1.0), lr=1.0)
    schedule = LinearDecay(opt, 10)
    rates(opt, schedule, 4)
    opt.param_groups[0]["lr"] /= 2
    assert np.allclose([row[0] for row in rates(opt, schedule, 6)], [0.3, 0.25, 0.2, 0.15, 0.1, 0.05])
    assert opt.param_groups[0]["lr"] == 0


def test_a_frozen_group_stays_frozen() -> None:
    opt = torch.optim.SGD([{"params": weights(1.0)}, {"params": weights(1.0)}], lr=1.0)
    schedule = LinearDecay(opt, 4)
    rates(opt, schedule, 1)
    opt.param_groups[1]["lr"] = 0.0
    assert rates(opt, schedule, 3) == [[0.75, 0.0], [0.5, 0.0], [0.25, 0.0]]


def test_a_second_phase_begins_where_the_first_began() -> None:
    opt = torch.optim.SGD(weights(1.0), lr=1.0)
    rates(opt, LinearDecay(opt, 4), 4)
    assert opt.param_groups[0]["lr"] == 0
    assert rates(opt, LinearDecay(opt, 2), 2) == [[1.0], [0.5]]


@pytest.mark.parametrize("make", [steepest.AdamW, torch.optim.AdamW])
def test_a_group_that_comes_later_joins_in(make: Any) -> None:
    opt = make(weights(1.0), lr=1.0)
    schedule = LinearDecay(opt, 4)
    rates(opt, schedule, 2)
    opt.add_param_group({"params": weights(2.0), "lr": 10.0})
    schedule.step()
    assert [g["lr"] for g in opt.param_groups] == [0.25, 2.5]
    assert rates(opt, schedule, 1) == [[0.25, 2.5]]


def test_after_the_end_it_says_so_once() -> None:
    opt = torch.optim.SGD(weights(1.0), lr=1.0)
    schedule = LinearDecay(opt, 3)
    rates(opt, schedule, 3)
    with pytest.warns(UserWarning, match="LinearDecay ended after 3 steps: lr is 0"):
        rates(opt, schedule, 1)
    assert rates(opt, schedule, 2) == [[0.0], [0.0]]


WRONG: list[tuple[Callable[[Any], Any], type[Exception], str]] = [
    (lambda o: LinearDecay(o, 0), ValueError, "LinearDecay: steps must be a whole number of at least 1, got 0"),
    (
        lambda o: LinearDecay(o, 2.5),  # type: ignore[arg-type]
        TypeError,
        "got 2.5",
    ),
    (lambda o: LinearDecay(o, True), TypeError, "got True"),
    (lambda o: LinearDecay(o, 10, warmup=10), ValueError, "warmup must be a whole number from 0 to 9, got 10"),
    (lambda o: LinearDecay(o, 10, warmup=-1), ValueError, "got -1"),
    (
        lambda o: LinearDecay("adam", 10),  # type: ignore[arg-type]
        TypeError,
        "not an Optimizer",
    ),
    (lambda o: Table(o, []), ValueError, "factors"),
    (lambda o: Table(o, [1.0, -0.1]), ValueError, "not negative"),
    (lambda o: Table(o, [1.0, float("nan")]), ValueError, "finite"),
    (lambda o: Table(o, [1.0, 2.0], steps=0), ValueError, "steps"),
    (lambda o: Refined(o, NORMS, kind="adamw"), ValueError, "did you mean 'adam'"),
    (lambda o: Refined(o, NORMS, tau=0.0), ValueError, "tau"),
    (lambda o: Refined(o, [1.0]), ValueError, "at least two steps, got 1"),
    (lambda o: Refined(o, [1.0, 0.0, 0.0, 0.0], tau=0.1), ValueError, "is 0 around step 2 of 4"),
]


@pytest.mark.parametrize(("make", "kind", "words"), WRONG)
def test_what_is_wrong_is_said_and_nothing_is_changed(make: Any, kind: type[Exception], words: str) -> None:
    opt = torch.optim.SGD(weights(1.0), lr=1.0)
    with pytest.raises(kind) as said:
        make(opt)
    assert words in str(said.value)
    assert opt.param_groups[0]["lr"] == 1.0


def test_a_schedule_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "schedule.json"
    file.write_text(json.dumps({"steepest": "schedule", "version": 1, "factors": [1.0, 0.5, 0.0]}))
    opt = torch.optim.SGD(weights(1.0), lr=2.0)
    assert rates(opt, Refined.load(opt, file), 3) == [[2.0], [1.0], [0.0]]
    opt = torch.optim.SGD(weights(1.0), lr=2.0)
    assert rates(opt, Refined.load(opt, file, steps=5), 5) == [[2.0], [1.5], [1.0], [0.5], [0.0]]
    for text in ("", "{}", "[1.0, 0.5]", '{"steepest": "norms"}', '{"steepest": "schedule"}'):
        file.write_text(text)
        with pytest.raises(ValueError, match="is no schedule: make one with `steepest refine"):
            Refined.load(opt, file)
