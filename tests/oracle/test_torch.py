"""Where torch has the method, ours is torch's: the same weights, and the same checkpoints in both directions."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import steepest
from tests.collect import listed
from tests.oracle.problems import Net, Vector, gap, join
from tests.rows import Pair

STEPS = 50


PAIRS: list[Pair] = listed("TORCH")
KEEPS = [p for p in PAIRS if p.ours is not steepest.SGD or "momentum" in p.options]


class Training:
    """A net that is trained by one optimizer; some tensors may have no gradient in some steps."""

    def __init__(self, make: Callable[..., Any], late: Sequence[int] = (), **options: Any) -> None:
        self.net = Net()
        self.params = [nn.Parameter(torch.from_numpy(s.copy())) for s in self.net.start]
        groups = [{"params": self.params[:2]}, {"params": self.params[2:], "lr": 2 * options["lr"]}]
        self.opt, self.late = make(groups, **options), late

    def run(self, first: int, last: int) -> list[Vector]:
        """Steps first to last, with a learning rate that changes."""
        points = []
        for t in range(first, last + 1):
            for group in self.opt.param_groups:
                group["lr"] *= 1.1 if t % 3 else 0.7
            self.opt.zero_grad()
            self.net.torch_loss(self.params, t).backward()
            if t <= 7:
                for i in self.late:
                    self.params[i].grad = None
            self.opt.step()
            points.append(join([p.detach().numpy() for p in self.params]))
        return points

    def continued_by(self, make: Callable[..., Any], **options: Any) -> Training:
        """Another optimizer that goes on from this one's checkpoint, written to a file and read back as plain data."""
        file = io.BytesIO()
        torch.save({"opt": self.opt.state_dict(), "params": [p.detach() for p in self.params]}, file)
        file.seek(0)
        saved = torch.load(file, weights_only=True)
        other = Training(make, self.late, **options)
        with torch.no_grad():
            for p, value in zip(other.params, saved["params"], strict=True):
                p.copy_(value)
        other.opt.load_state_dict(saved["opt"])
        return other


_KNOWN: dict[tuple[str, tuple[int, ...]], list[Vector]] = {}


def reference(pair: Pair, late: tuple[int, ...]) -> list[Vector]:
    """Torch's own run, made once."""
    key = (f"{pair.options}{pair.only_torch}{pair.torch.__name__}", late)
    if key not in _KNOWN:
        _KNOWN[key] = Training(pair.torch, late, **pair.options, **pair.only_torch).run(1, STEPS)
    return _KNOWN[key]


@pytest.mark.parametrize("lift", ["eager", "auto"])
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.id)
def test_same_weights(pair: Pair, lift: str) -> None:
    ours = Training(pair.ours, lift=lift, **pair.options).run(1, STEPS)
    theirs = reference(pair, ())
    assert gap(ours, theirs) < 1e-12
    assert np.abs(ours[-1] - join(Net().start)).max() > 0.1


@pytest.mark.parametrize(("saved_at", "late"), [(15, ()), (5, (1, 2)), (12, (1, 2))])
@pytest.mark.parametrize("way", ["torch to ours", "ours to torch", "ours to torch to ours"])
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.id)
def test_checkpoints(pair: Pair, way: str, saved_at: int, late: tuple[int, ...]) -> None:
    """Saved and continued by the other as if nothing had happened; two tensors may begin as late as at step 8."""
    sides = {"ours": (pair.ours, pair.options), "torch": (pair.torch, {**pair.options, **pair.only_torch})}
    (make, options), *rest = [sides[name] for name in way.split(" to ")]
    training = Training(make, late, **options)
    points = training.run(1, saved_at)
    for make, options in rest:
        training = training.continued_by(make, **options)
        points += training.run(len(points) + 1, len(points) + 8)
    assert gap(points, reference(pair, late)[: len(points)]) < 1e-12


@pytest.mark.parametrize("pair", KEEPS, ids=lambda pair: pair.id)
def test_parameters_with_different_step_counts(pair: Pair) -> None:
    """Two tensors get their first gradient at the eighth step; their moments are corrected by their own count."""
    ours = Training(pair.ours, (1, 2), **pair.options).run(1, STEPS)
    theirs = reference(pair, (1, 2))
    assert gap(ours, theirs) < 1e-12


@pytest.mark.parametrize("pair", KEEPS, ids=lambda pair: pair.id)
def test_checkpoints_have_torchs_names(pair: Pair) -> None:
    """Whoever reads torch's checkpoints reads ours: every name of torch's state and groups is there, of its shape."""
    saved = []
    for make, more in ((pair.ours, {}), (pair.torch, pair.only_torch)):
        training = Training(make, **pair.options, **more)
        training.run(1, 3)
        saved.append(training.opt.state_dict())
    ours, theirs = saved
    for i, state in theirs["state"].items():
        for name, value in state.items():
            assert name in ours["state"][i], name
            assert np.shape(ours["state"][i][name]) == np.shape(value)
            assert np.allclose(ours["state"][i][name], value, rtol=1e-12)
    for mine, other in zip(ours["param_groups"], theirs["param_groups"], strict=True):
        assert set(other) <= set(mine)
        assert {k: mine[k] for k in other if k != "params"} == {k: v for k, v in other.items() if k != "params"}


@pytest.mark.parametrize("nesterov", [False, True])
def test_a_momentum_that_is_scheduled_away(nesterov: bool) -> None:
    """With momentum 0 torch takes the gradient whole, dampened or not; the buffer waits."""
    points = []
    options: dict[str, Any] = {"momentum": 0.9, "nesterov": True} if nesterov else {"momentum": 0.9, "dampening": 0.5}
    for make in (steepest.SGD, torch.optim.SGD):
        training = Training(make, lr=0.1, **options)
        points.append(training.run(1, 5))
        for group in training.opt.param_groups:
            group["momentum"] = 0.0
        points[-1] += training.run(6, 9)
    assert gap(*points) < 1e-12


@pytest.mark.parametrize("pair", [p for p in PAIRS if "betas" in p.options], ids=lambda pair: pair.id)
@pytest.mark.parametrize("late", [(), (1, 2)])
def test_same_weights_when_the_momentum_is_cycled(pair: Pair, late: tuple[int, ...]) -> None:
    """Torch's one-cycle schedule moves β₁ at every step; a run that is interrupted goes on as one that is not."""
    runs = []
    for make, options in ((pair.torch, pair.options | pair.only_torch), (pair.ours, pair.options)):
        training, points = Training(make, late, **options), []
        for t in range(1, STEPS + 1):
            if t == 10 and make is pair.ours:
                training = training.continued_by(make, **options)
            for k, group in enumerate(training.opt.param_groups):
                group["betas"] = ((0.95 - 0.1 * k) * abs(math.cos(t / 4)), *group["betas"][1:])
            points += training.run(t, t)
        runs.append(points)
    assert gap(runs[1], runs[0]) < 1e-12


def test_a_checkpoint_of_nadam_without_a_product_goes_on() -> None:
    """Saved before it was kept: the product follows from the count."""
    training = Training(steepest.NAdam, lr=0.03)
    training.run(1, 10)
    saved = training.opt.state_dict()
    for entry in saved["state"].values():
        del entry["mu_product"]
    training.opt.load_state_dict(saved)
    theirs = next(pair.torch for pair in PAIRS if pair.ours is steepest.NAdam)
    assert gap(training.run(11, STEPS), reference(Pair(steepest.NAdam, theirs, {"lr": 0.03}), ())[10:]) < 1e-12


@pytest.mark.parametrize("late", [0, 9])
@pytest.mark.parametrize("interrupted", [False, True])
def test_a_schedule_may_give_sgd_a_momentum(late: int, interrupted: bool) -> None:
    """OneCycleLR at its defaults cycles the momentum of an SGD that was made without; from the start, or in mid-run."""
    runs = []
    for make in (torch.optim.SGD, steepest.SGD):
        training, points = Training(make, lr=0.05), []
        points += training.run(1, late)
        schedule = torch.optim.lr_scheduler.OneCycleLR(training.opt, max_lr=0.1, total_steps=STEPS)
        for t in range(late + 1, STEPS + 1):
            if interrupted and t == 15 and make is steepest.SGD:
                saved, momentum = training, training.opt.param_groups[0]["momentum"]
                training = Training(make, lr=0.05)
                for group in training.opt.param_groups:
                    group["momentum"] = momentum
                for p, q in zip(training.params, saved.params, strict=True):
                    p.data.copy_(q.data)
                training.opt.load_state_dict(saved.opt.state_dict())
                schedule.optimizer = training.opt
            points += training.run(t, t)
            schedule.step()
        runs.append(points)
    assert gap(runs[1], runs[0]) < 1e-12


def test_sgd_without_momentum_keeps_no_state() -> None:
    """The key is there, as torch's, and costs nothing."""
    training = Training(steepest.SGD, lr=0.05)
    training.run(1, 3)
    assert all(group["momentum"] == 0 for group in training.opt.param_groups)
    assert all(set(entry) <= {"step"} for entry in training.opt.state.values())
