"""The keywords of torch.optim, and of other libraries' SAM: taken where they change nothing, else answered by what to write."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
import torch

import steepest

PAIRS: dict[str, Any] = {
    "SGD": torch.optim.SGD, "Adam": torch.optim.Adam, "AdamW": torch.optim.AdamW, "NAdam": torch.optim.NAdam,
    "AdaGrad": torch.optim.Adagrad,
}  # fmt: skip
RUN = ("foreach", "fused", "capturable", "differentiable")


def one() -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.tensor([3.0, -4.0]))


def make(name: str, *args: Any, **given: Any) -> steepest.Optimizer:
    return steepest.methods[name].make(*args, **given)


@pytest.mark.parametrize("name", PAIRS)
def test_what_torch_takes_is_taken(name: str) -> None:
    """Every keyword of torch's constructor at torch's default, in torch's order too, and both ways to run a step."""
    known = [p for p in inspect.signature(PAIRS[name]).parameters.values() if p.name != "params"]
    opt = make(name, [one()], **{p.name: p.default for p in known})
    ours, theirs = opt.state_dict()["param_groups"][0], PAIRS[name]([one()]).state_dict()["param_groups"][0]
    assert set(theirs) <= set(ours)
    assert {k: ours[k] for k in theirs} == theirs
    for key in {"foreach", "fused"} & {p.name for p in known}:
        for value in (None, True, False):
            make(name, [one()], **{key: value})
    placed = [p for p in known if p.kind is p.POSITIONAL_OR_KEYWORD and p.name not in (*RUN, "decoupled_weight_decay")]
    make(name, [one()], *(p.default for p in placed))


@pytest.mark.parametrize("name", PAIRS)
def test_what_cannot_be_is_refused_with_a_sentence(name: str) -> None:
    """True for a captured or a differentiated step; anything else is no keyword."""
    for key in ("capturable", "differentiable"):
        if key in inspect.signature(PAIRS[name]).parameters:
            with pytest.raises(ValueError, match=f"{name} has no {key}=True: .*leave it out"):
                make(name, [one()], **{key: True})
    with pytest.raises(TypeError, match="has no parameter 'fuse'"):
        make(name, [one()], fuse=True)
    with pytest.raises(TypeError, match="Lion has no parameter 'fused'"):
        make("Lion", [one()], fused=True)


def test_the_other_kind_of_decay_is_named() -> None:
    """torch's Adam can be AdamW and the other way round."""
    with pytest.raises(ValueError, match=r"steepest\.AdamW"):
        make("Adam", [one()], decoupled_weight_decay=True)
    with pytest.raises(ValueError, match=r"steepest\.Adam\b"):
        make("AdamW", [one()], decoupled_weight_decay=False)


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_amsgrad_is_torchs(name: str) -> None:
    """The same weights, and each loads the other's checkpoint in mid-run."""
    given: dict[str, Any] = {"lr": 0.1, "betas": (0.5, 0.6), "weight_decay": 0.1, "amsgrad": True}
    ours, theirs = one(), one()
    opt, other = make(name, [ours], **given), PAIRS[name]([theirs], **given)

    def walk(steps: range) -> None:
        for t in steps:
            for p, o in ((ours, opt), (theirs, other)):
                p.grad = torch.tensor([2.0 / (t + 1), -0.3 * t])  # falls, so that the largest moment is an old one
                o.step()

    walk(range(4))
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)
    saved, theirs_saved = opt.state_dict(), other.state_dict()
    opt, other = make(name, [ours], **given), PAIRS[name]([theirs], **given)
    opt.load_state_dict(theirs_saved)
    other.load_state_dict(saved)
    walk(range(4, 8))
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)
    with pytest.raises(ValueError, match="amsgrad"):
        make(name, [ours], lr=0.1).load_state_dict(theirs_saved)
    assert not torch.equal(ours, torch.tensor([3.0, -4.0]))


CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    ("SAM", (torch.optim.SGD,), {"lr": 0.1, "momentum": 0.9}, "steepest.SAM(params, lr=0.1, momentum=0.9)"),
    ("SAM", (torch.optim.SGD,), {"lr": 0.1, "rho": 2.0, "adaptive": True}, "steepest.SAM(params, lr=0.1, rho=2.0)"),
    ("ASAM", (), {"base_optimizer": torch.optim.SGD, "lr": 0.1}, "steepest.ASAM(params, lr=0.1)"),
    ("SAM", (torch.optim.AdamW,), {"lr": 1e-3, "rho": 0.02},
     ("steepest.Optimizer(params, lr=0.001, direction=steepest.direction.Adam(), "
     "geometry=steepest.geometry.Decay(weight_decay=0.01), point=steepest.point.SAM(rho=0.02))")),
    ("GAM", (), {"base_optimizer": torch.optim.Adam, "lr": 1e-3},
     "steepest.Optimizer(params, lr=0.001, direction=steepest.direction.Adam(), point=steepest.point.GAM())"),
    ("SLS", (), {"base_optimizer": torch.optim.Adagrad, "lr": 1.0},
     "steepest.Optimizer(params, lr=1.0, direction=steepest.direction.AdaGrad(), step_size=steepest.stepsize.SLS())"),
    ("SAM", (torch.optim.SGD([torch.ones(1)], lr=1.0),), {"lr": 0.1}, "steepest.SAM(params, lr=0.1)"),
    ("SAM", (steepest.Lion,), {"lr": 0.1},
     "steepest.Optimizer(params, lr=0.1, direction=steepest.direction.Lion(), point=steepest.point.SAM())"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "given", "line"), CALLS)
def test_a_base_optimizer_is_answered_by_the_line_to_write(
    name: str, args: tuple[Any, ...], given: dict[str, Any], line: str
) -> None:
    """And the line works."""
    with pytest.raises(TypeError, match=re.escape(f"write {line}")):
        make(name, [one()], *args, **given)
    assert isinstance(eval(line, {"steepest": steepest, "params": [one()]}), steepest.Optimizer)
