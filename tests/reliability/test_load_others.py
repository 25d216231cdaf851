"""Loading, continued: hooks, other people's state, copies and distributed checkpoints."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)

import steepest
from tests.reliability.test_load import grown


def test_hooks_answer_first_and_last() -> None:
    """torch's recipe: a pre-hook puts the state into the order of names; what a post-hook does stays."""
    a, b = nn.Parameter(torch.zeros(2, 2)), nn.Parameter(torch.zeros(3))
    opt = steepest.AdamW([("a", a), ("b", b)])
    a.grad, b.grad = torch.ones(2, 2), torch.full((3,), -2.0)
    opt.step()
    new = steepest.AdamW([("b", b), ("a", a)])

    def by_name(_: Any, state: dict[str, Any]) -> dict[str, Any]:
        order = [state["param_groups"][0]["param_names"].index(n) for n in ("b", "a")]
        return {**state, "state": {i: state["state"][j] for i, j in enumerate(order)}}

    hook = new.register_load_state_dict_pre_hook(by_name)
    for _ in range(2):  # the names stay with the parameters, so that what was loaded can be saved and loaded
        new.load_state_dict(opt.state_dict() if not new.state else new.state_dict())
        assert torch.equal(new.state[b]["m"], opt.state[b]["m"])
        assert torch.equal(new.state[a]["m"], opt.state[a]["m"])
    hook.remove()
    new.register_load_state_dict_post_hook(lambda o: o.state.clear())
    new.load_state_dict(new.state_dict())
    assert not new.state


def test_what_a_hook_makes_of_a_state_dict_is_what_is_saved() -> None:
    opt = grown(steepest.NAdam, (3,))
    seen: list[set[str]] = []

    def last(_: Any, saved: dict[str, Any]) -> dict[str, Any]:
        seen.append({*saved["state"][0]})
        return {"mine": 1}

    opt.register_state_dict_post_hook(last)
    assert opt.state_dict() == {"mine": 1}
    assert seen == [{"step", "exp_avg", "exp_avg_sq", "mu_product"}]


@pytest.mark.parametrize("codec", ["float32", "int8"])
@pytest.mark.parametrize("name", ["AdamW", "NAdam", "AMSGrad", "AdaGrad", "SGD", "Lion"])
def test_a_flattened_distributed_checkpoint_brings_moments_back(name: str, codec: str) -> None:
    """Into an optimizer that is new, and into one that has moved."""
    flat = StateDictOptions(flatten_optimizer_state_dict=True)
    options: dict[str, Any] = {"lr": 0.1, "codec": codec, **({"momentum": 0.9} if name == "SGD" else {})}
    model = nn.Linear(30, 20)
    opt = steepest.methods[name].make(model.parameters(), **options)

    def step(one: steepest.Optimizer, scale: float) -> None:
        model(scale * torch.ones(4, 30)).square().mean().backward()
        one.step()
        one.zero_grad()

    step(opt, 1.0)
    step(opt, 0.5)
    saved = get_optimizer_state_dict(model, opt, options=flat)
    for moved in (False, True):
        new = steepest.methods[name].make(model.parameters(), **options)
        if moved:
            step(new, 3.0)
        set_optimizer_state_dict(model, new, saved, options=flat)
        for p in model.parameters():
            assert {*opt.state[p]} == {*new.state[p]}
            for key, value in opt.state[p].items():
                assert torch.equal(torch.as_tensor(new.state[p][key]), torch.as_tensor(value)), key


def test_state_is_read_and_written_under_our_names() -> None:
    """Going through it as torch's checkpoint code does changes nothing for anybody else."""
    opt = grown(steepest.AdamW, (3,))
    (state,) = opt.state.values()
    assert [*state] == [*state.keys()] == ["m", "v", "step"]
    assert [f"{name}" for name in state] == ["exp_avg", "exp_avg_sq", "step"]
    for name in state:
        state[name] = state[name] * 2
    assert len(state) == 3
    assert [type(k) for k, _ in copy.deepcopy(state).items()] == [str] * 3


@pytest.mark.parametrize("name", ["AdamW", "Lion", "GaLore", "SGD"])
def test_what_others_keep_in_the_state_survives(name: str) -> None:
    """Tensors of a wrapper beside the method's own, and keys that are no parameters."""
    opt = grown(steepest.methods[name].make, (3,))
    (p,) = opt.param_groups[0]["params"]
    opt.state[p]["slow"] = torch.arange(3)
    everything: dict[Any, Any] = opt.state
    everything["epoch"] = 3
    new = grown(steepest.methods[name].make, (3,), steps=0)
    (q,) = new.param_groups[0]["params"]
    new.load_state_dict(opt.state_dict())
    assert torch.equal(new.state[q]["slow"], torch.arange(3))
    assert new.state[q]["slow"] is not opt.state[p]["slow"]
    loaded: dict[Any, Any] = new.state
    assert loaded["epoch"] == 3
    q.grad = torch.ones(3)
    new.step()


def test_state_of_a_parameter_that_left_is_not_saved() -> None:
    opt = grown(steepest.AdamW, (3,), (2,))
    del opt.param_groups[0]["params"][0]
    assert [*opt.state_dict()["state"]] == [0]


def test_numbers_from_numpy_are_saved_as_plain_ones() -> None:
    numpy = pytest.importorskip("numpy")
    x, y = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2))
    opt = steepest.AdamW([{"params": [x]}, {"params": [y], "weight_decay": numpy.float32(0.5)}], lr=numpy.float64(0.1))
    opt.step(lambda: x.sum() + y.sum())
    assert [type(g[n]) for g in opt.param_groups for n in ("lr", "weight_decay")] == [float] * 4
    opt.param_groups[0]["lr"] = numpy.logspace(-3, -1, 3)[1]
    opt.param_groups[1]["betas"] = (numpy.float64(0.9), numpy.float64(0.99))
    file = io.BytesIO()
    torch.save(opt.state_dict(), file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    assert saved["param_groups"][0]["lr"] == pytest.approx(0.01)
    saved["param_groups"][0]["lr"] = numpy.float64(0.2)
    opt.load_state_dict(saved)
    assert type(opt.param_groups[0]["lr"]) is float


def test_a_copy_is_not_held_by_the_originals_scheduler() -> None:
    """Schedulers put a wrapper over ``step`` of one optimizer; a copy steps its own weights, and can be pickled."""
    x = nn.Parameter(torch.ones(3))
    opt = steepest.AdamW([x], lr=0.1)
    schedule = torch.optim.lr_scheduler.StepLR(opt, 10)
    x.grad = torch.ones(3)
    opt.step()
    schedule.step()
    y, twin = copy.deepcopy((x, opt))
    mine, its = x.detach().clone(), y.detach().clone()
    y.grad = torch.ones(3)
    twin.step()
    assert torch.equal(x, mine)
    assert not torch.equal(y, its)
    file = io.BytesIO()
    torch.save({"optimizer": opt}, file)
    file.seek(0)
    again = torch.load(file, weights_only=False)["optimizer"]
    assert torch.equal(again.state[again.param_groups[0]["params"][0]]["m"], opt.state[x]["m"])
