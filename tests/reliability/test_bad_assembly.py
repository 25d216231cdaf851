"""Parts that do not go together, parameters that are none, closures that are none: refused at once, with the mend.

A composition that would compute something else than it says must fail when it is made, for nobody can see it afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

import steepest
from tests.reliability.declared import SEAMS, params
from tests.reliability.test_bad_values import answer, complaint

S: Any = steepest  # wrong calls are what is wanted here: types are not checked
direction, geometry, point, oracle = S.direction, S.geometry, S.point, S.oracle
chart, channel, stepsize = S.chart, S.channel, S.stepsize
SAMPLES = {"direction": direction.Adam(), "geometry": geometry.Decay(), "point": point.SAM(),
           "oracle": oracle.TwoPoint(), "chart": chart.LowRank(), "channel": channel.TopK(),
           "step_size": stepsize.DoG()}  # fmt: skip


def made(**given: Any) -> steepest.Optimizer:
    """Any assembly."""
    made: steepest.Optimizer = S.Optimizer(params(), **given)
    return made


@pytest.mark.parametrize("seam", SAMPLES)
def test_a_part_in_the_wrong_seam(seam: str) -> None:
    """The seam it belongs to is named."""
    assert isinstance(made(**{seam: SAMPLES[seam]}), steepest.Optimizer)
    found = [complaint(partial(made, **{seam: value}), ((seam,), (repr(value),), (f"{part}=",)))
             for part, value in SAMPLES.items() if part != seam]  # fmt: skip
    assert [said for said in found if said] == []


@pytest.mark.parametrize("seam", SEAMS)
def test_what_is_no_part(seam: str) -> None:
    """A word, a number and everything that is falsy is not taken for the default; a class lacks its parentheses."""
    values: list[Any] = ["adam", 0.9, 0, "", False, [], {"a": 1}]
    found = [complaint(partial(made, **{seam: value}), ((seam,), (repr(value),))) for value in values]
    kind = type(SAMPLES[seam])
    found.append(complaint(lambda: made(**{seam: kind}), ((seam,), (f"{kind.__name__}(",))))
    assert [said for said in found if said] == []


A = direction.Adam
REFUSED: dict[str, tuple[Callable[[], Any], tuple[str, ...]]] = {
    "two weight decays": (
        lambda: made(direction=direction.Coupled(A()), geometry=geometry.Decay()),
        ("Coupled", "Decay", "weight_decay", "leave one"),
    ),
    "one inside the other": (
        lambda: made(direction=direction.Coupled(direction.Coupled(A()))), ("Coupled", "weight_decay", "leave one"),
    ),
    "two states of one name": (
        lambda: made(direction=direction.Mars(direction.Mars(A()))), ("Mars", "leave one"),
    ),
    "D-Adaptation without second moments": (
        lambda: made(direction=direction.Lion(), step_size=stepsize.DAdaptAdam()), ("DAdaptAdam", "Lion", "v", "choose"),
    ),
    "D-Adaptation of nothing": (lambda: made(step_size=stepsize.DAdaptAdam()), ("DAdaptAdam", "v", "choose")),
    "D-Adaptation in other coordinates": (
        lambda: made(direction=A(bias_correction=False), step_size=stepsize.DAdaptAdam(), chart=chart.LowRank()),
        ("DAdaptAdam", "LowRank", "choose"),
    ),
    "D-Adaptation with an AdaBelief that does not weigh its gradient": (
        lambda: made(direction=direction.AdaBelief(), step_size=stepsize.DAdaptAdam()), ("DAdaptAdam", "AdaBelief"),
    ),
    "D-Adaptation with an ADOPT that does not weigh its gradient": (
        lambda: made(direction=direction.Adopt(), step_size=stepsize.DAdaptAdam()), ("DAdaptAdam", "Adopt"),
    ),
    "MARS around something without beta1": (
        lambda: made(direction=direction.Mars(direction.Sign())), ("Mars", "beta1", "choose"),
    ),
    "a complement with state": (lambda: chart.Split(A()), ("Split", "complement", "Adam", "without state")),
    "a complement that is none": (lambda: chart.Split(3), ("Split", "complement", "3", "direction")),
    "a wrapper without an inside": (lambda: direction.Cautious(), ("inner",)),
    "a wrapper around a number": (lambda: direction.Cautious(3), ("Cautious", "direction", "3")),
    "a wrapper around a class": (lambda: direction.Cautious(A), ("Cautious", "Adam(")),
    "a wrapper around a point": (lambda: direction.Coupled(point.SAM()), ("Coupled", "direction", "SAM")),
    "too many values": (lambda: A(0.9, 0.99, 1e-8, True, 3), ("Adam", "4", "5", "eps")),
    "one value twice": (lambda: A(0.9, beta1=0.8), ("Adam", "beta1", "twice")),
    "nesterov without momentum": (lambda: S.SGD(params(), nesterov=True), ("nesterov", "momentum > 0")),
    "nesterov with dampening": (
        lambda: S.SGD(params(), momentum=0.9, dampening=0.1, nesterov=True), ("nesterov", "dampening 0", "0.1"),
    ),
    "a Nesterov part without momentum": (
        lambda: direction.Momentum(momentum=0.0, nesterov=True), ("nesterov", "momentum"),
    ),
    "a box turned inside out": (lambda: geometry.Box(1.0, -1.0), ("Box", "lower", "upper", "1.0", "-1.0")),
    "a box turned inside out in a group": (
        lambda: S.ProjectedSGD([{"params": params(), "lower": 3.0}]), ("lower", "upper", "3.0"),
    ),
    "a direction for a method that has one": (
        lambda: S.AdamW(params(), direction=direction.Lion()), ("AdamW", "direction", "Optimizer"),
    ),
    "a number where a pair belongs": (lambda: S.AdamW(params(), 1e-3, 0.9), ("betas", "pair", "0.9")),
    "attach without DDP": (
        lambda: channel.TopK().attach(nn.Linear(1, 1), made(channel=channel.TopK())), ("DistributedDataParallel", "Linear"),
    ),
    # parameters
    "no parameters": (lambda: S.AdamW([]), ("empty",)),
    "an empty generator": (lambda: S.AdamW(iter(())), ("empty",)),
    "None": (lambda: S.AdamW(None), ("params", "None", "parameters()")),
    "a model": (lambda: S.AdamW(nn.Linear(1, 1)), ("params", "Linear", "parameters()")),
    "a method that was not called": (lambda: S.AdamW(nn.Linear(1, 1).parameters), ("params", "parameters()")),
    "a tensor": (lambda: S.AdamW(torch.ones(3)), ("params", "iterable")),
    "numbers": (lambda: S.AdamW([1.0]), ("Tensors", "float")),
    "a dict": (lambda: S.AdamW({"weight": params()[0]}), ("Tensors", "str")),
    "a group without parameters": (lambda: S.AdamW([{"lr": 0.1}]), ("params", "group")),
    "a group that is a list": (lambda: S.AdamW(params()).add_param_group(params()), ("group", "dict")),
    "one parameter in two groups": (
        lambda: (lambda p: S.AdamW([{"params": p}, {"params": p}]))(params()), ("more than one parameter group",),
    ),
    "integers": (lambda: S.AdamW([torch.ones(2, dtype=torch.int64)]), ("float32", "int64")),
    "complex numbers": (lambda: S.AdamW([torch.ones(2) * 1j]), ("complex64", "view_as_real")),
    "no leaf": (lambda: S.AdamW([params()[0] * 2]), ("non-leaf",)),
    # closures
    "a loss for a closure": (lambda: S.AdamW(params()).step(torch.ones(())), ("closure", "function")),
    "a word for a closure": (lambda: S.SAM(params()).step("loss"), ("closure", "function", "loss")),
    "a closure without a loss": (lambda: S.SAM(params()).step(lambda: None), ("closure", "scalar", "None")),
    "a checkpoint that is none": (lambda: S.AdamW(params()).load_state_dict({}), ("state", "param_groups")),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_refused_with_the_mend(what: str) -> None:
    call, words = REFUSED[what]
    assert not complaint(call, tuple((word,) for word in words))


def test_no_closure_where_one_is_needed() -> None:
    """Every method that asks says so, and changes nothing."""
    for name, method in steepest.methods.items():
        if method.closure:
            p = params()
            p[0].grad = torch.ones(3)
            opt = method.make(p)
            kind, text = answer(opt.step)
            assert kind is RuntimeError and "step(closure)" in text, name
            assert torch.equal(p[0], torch.ones(3)) and torch.equal(p[0].grad, torch.ones(3)), name
            assert not opt.state, name


def test_a_closure_that_is_none_leaves_the_gradients() -> None:
    """``opt.step(loss)`` is a slip of the hand; the gradients of the backward before it are still there."""
    p = params()
    p[0].grad = torch.ones(3)
    answer(lambda: S.AdamW(p).step(torch.ones(())))
    assert p[0].grad is not None
    assert torch.equal(p[0], torch.ones(3))


TORCH: dict[str, tuple[str, dict[str, Any]]] = {
    "momentum": ("SGD", {"momentum": 0.9}),
    "nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "dampening": ("SGD", {"momentum": 0.9, "dampening": 0.5}),
    "amsgrad": ("Adam", {"amsgrad": True}),
    "amsgrad of AdamW": ("AdamW", {"amsgrad": True}),
}


@pytest.mark.parametrize("where", ["group", "checkpoint"])
@pytest.mark.parametrize("what", TORCH)
def test_what_torch_heeds_is_heeded_or_refused(what: str, where: str) -> None:
    """A group or a checkpoint of torch.optim's that asks for more than the constructor did is never half understood."""
    name, group = TORCH[what]
    theirs, ours = params(), params()
    other = getattr(torch.optim, name)([{"params": theirs, **group}], lr=0.1)
    gradients = [torch.tensor([1.0, -2.0, 3.0]), torch.tensor([0.5, 1.0, 0.0]), torch.tensor([0.1, 0.0, -1.0])]
    opt: torch.optim.Optimizer | None = None
    try:
        if where == "group":
            opt = steepest.methods[name].make([{"params": ours, **group}], lr=0.1)
        else:
            theirs[0].grad = gradients[0]
            other.step()
            ours[0].data.copy_(theirs[0].data)
            opt = steepest.methods[name].make(ours, lr=0.1)
            opt.load_state_dict(other.state_dict())
    except (TypeError, ValueError) as error:
        assert any(key in str(error) for key in group)
        return
    for g in gradients:
        theirs[0].grad, ours[0].grad = g.clone(), g.clone()
        other.step()
        opt.step()
    torch.testing.assert_close(ours[0], theirs[0])
