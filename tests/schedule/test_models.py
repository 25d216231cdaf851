"""The learning rate of stochastic model building: the rule, who may have it, and a run that is resumed."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import steepest
from steepest.schedule import ModelSteps


def made(name: str, lr: Any = 1.0, **options: Any) -> tuple[Any, ModelSteps]:
    """A method on nothing much, with its schedule."""
    opt = steepest.methods[name].make([nn.Parameter(torch.ones(2))], lr=lr)
    return opt, ModelSteps(opt, **options)


def after(opt: Any, schedule: ModelSteps, steps: int, models: int) -> float:
    """The learning rate once so many steps more were taken, of which so many were a model's."""
    for t in range(steps):
        opt.counters.steps += 1
        opt.counters.backwards += 1 + (t < models)
        schedule.step()
    return float(opt.param_groups[0]["lr"])


@pytest.mark.parametrize(("name", "allowed"), [("SMB", 4), ("SMBi", 2)])
def test_more_models_than_their_share_shorten_it(name: str, allowed: int) -> None:
    """γ = 0.2 of twenty steps: four, or two of SMBi, whose models take two steps."""
    for models in range(6):
        opt, schedule = made(name, every=20, share=0.2)
        known = 1 / 0.9 if models <= allowed else 0.9
        assert after(opt, schedule, 19, models) == 1.0
        assert after(opt, schedule, 1, 0) == pytest.approx(known, rel=1e-15)
        assert after(opt, schedule, 20, 0) == pytest.approx(known / 0.9, rel=1e-15)  # counted anew


def test_it_does_not_grow_beyond_the_most_and_comes_back() -> None:
    opt, schedule = made("SMB", lr=1.9, every=2, most=2.0, factor=0.8)
    assert after(opt, schedule, 6, 0) == 1.9
    assert after(opt, schedule, 2, 2) == pytest.approx(1.52)
    assert after(opt, schedule, 2, 0) == pytest.approx(1.9)


def test_groups_and_tensors_keep_their_ratio() -> None:
    a, b = (nn.Parameter(torch.ones(2)) for _ in range(2))
    opt = steepest.SMB([{"params": [a], "lr": torch.tensor(0.5)}, {"params": [b], "lr": 1.0}])
    assert after(opt, ModelSteps(opt, every=1), 1, 1) == pytest.approx(0.45)
    assert isinstance(opt.param_groups[0]["lr"], Tensor)
    assert opt.param_groups[1]["lr"] == pytest.approx(0.9)


@pytest.mark.parametrize("name", ["SMB", "SMBi"])
def test_a_run_in_two_parts_is_one_run(name: str) -> None:
    """To the bit, cut within a window; and the learning rate has moved both ways."""

    def go(cut: int) -> tuple[Tensor, list[float]]:
        x = nn.Parameter(torch.tensor([1.0, -2.0]))
        opt, rates = steepest.methods[name].make([x], lr=1.5), []
        schedule = ModelSteps(opt, every=4, share=0.3)
        for t in range(60):
            if t == cut:
                saved = copy.deepcopy((opt.state_dict(), schedule.state_dict()))
                opt = steepest.methods[name].make([x], lr=9.0)
                schedule = ModelSteps(opt, every=4, share=0.3)
                schedule.load_state_dict(saved[1])
                opt.load_state_dict(saved[0])
            steep = torch.tensor([1.0, 1.0 + t % 3])
            opt.step(lambda steep=steep: (steep * (x - steep).square()).sum() / 2)  # type: ignore[misc]
            schedule.step()
            rates.append(float(opt.param_groups[0]["lr"]))
        return x.detach(), rates

    (whole, rates), (parts, again) = go(-1), go(30)
    assert torch.equal(whole, parts)
    assert rates == again
    changes = {round(b / a, 3) for a, b in itertools.pairwise(rates)}
    assert {0.9, 1.0, 1.111} <= changes


def test_who_builds_no_models_has_nothing_to_count() -> None:
    for opt in (
        steepest.SGD([nn.Parameter(torch.ones(1))], lr=0.1),
        torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1),
    ):
        with pytest.raises(TypeError, match="SGD builds none"):
            ModelSteps(opt)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"every": 0}, {"share": 1.5}, {"factor": 1.0}, {"most": 0.0}])
def test_bad_numbers(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        made("SMB", **wrong)
