"""Laws of sharing: one step size for all, for a group, for each tensor; each is the other where they cannot differ."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import steepest
from steepest import direction as D
from steepest import stepsize as S
from steepest.core.part import Per
from tests.laws.common import matrices

MAKE: dict[str, Callable[[Per], S.StepSize]] = {
    "DoG": lambda per: S.DoG(reps_rel=0.01, per=per),
    "TDoG": lambda per: S.TDoG(reps_rel=1.0, steps=8, per=per),
    "AdaGradNorm": lambda per: S.AdaGradNorm(per=per),
    "DAdaptSGD": lambda per: S.DAdaptSGD(d0=0.01, per=per),
    "DAdaptAdam": lambda per: S.DAdaptAdam(d0=0.01, per=per),
    "DAdaptDual": lambda per: S.DAdaptDual(d0=0.01, per=per),
    "DAdaptAdaGrad": lambda per: S.DAdaptAdaGrad(d0=0.01, per=per),
}
#: the direction that a step size goes with, where it is not any
WITH: dict[type[S.StepSize], D.Direction] = {
    S.DAdaptAdam: D.Adam(bias_correction=False),
    S.DAdaptDual: D.DualAveraging(),
    S.DAdaptAdaGrad: D.DualAdaGrad(),
}
ALL = pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)


def loss_of(params: list[Tensor]) -> Tensor:
    """Tensors that do not feel each other, at scales far apart."""
    return sum((10.0**k * (torch.sqrt(1 + (p - 1).square()) - 1)).sum() for k, p in enumerate(params))  # type: ignore[return-value]


def run(step: S.StepSize, groups: list[int], steps: int = 8, joint: bool = True, lrs: tuple[float, ...] = (1.0,) * 4,
        **options: Any) -> tuple[list[Tensor], list[steepest.Optimizer]]:  # fmt: skip
    """Four tensors in groups of these sizes, by one optimizer or by one for each group."""
    params = [nn.Parameter(matrices(2, k + 1, k)) for k in range(4)]
    rest = iter(params)
    split = [[next(rest) for _ in range(n)] for n in groups]
    sets = [[{"params": g, "lr": lr} for g, lr in zip(split, lrs, strict=False)]]
    opts = [steepest.Optimizer(s, step_size=step, direction=WITH.get(type(step)), lift="eager", **options)
            for s in (sets if joint else [[g] for g in sets[0]])]  # fmt: skip
    for _ in range(steps):
        for p in params:
            p.grad = None
        loss_of(list(params)).backward()
        for opt in opts:
            opt.step()
    return [p.detach() for p in params], opts


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


@ALL
def test_one_group_is_all(make: Callable[[Per], S.StepSize]) -> None:
    assert same(run(make("group"), [4])[0], run(make("all"), [4])[0])


@ALL
def test_groups_go_as_they_would_alone(make: Callable[[Per], S.StepSize]) -> None:
    """With a multiplier each, too; and sharing is something else."""
    joint = run(make("group"), [1, 3], lrs=(1.0, 0.5))[0]
    assert same(joint, run(make("all"), [1, 3], joint=False, lrs=(1.0, 0.5))[0])
    assert not same(joint, run(make("all"), [1, 3], lrs=(1.0, 0.5))[0])


@ALL
def test_tensors_go_as_they_would_alone(make: Callable[[Per], S.StepSize]) -> None:
    alone = run(make("all"), [1, 1, 1, 1], joint=False)[0]
    assert same(run(make("tensor"), [4])[0], alone)
    assert same(run(make("tensor"), [2, 2])[0], alone)
    assert same(run(make("group"), [1, 1, 1, 1])[0], alone)
    assert not same(run(make("all"), [4])[0], alone)


@ALL
@pytest.mark.parametrize("per", ["all", "group", "tensor"])
def test_memory_is_kept_where_it_is_shared(make: Callable[[Per], S.StepSize], per: Per) -> None:
    """In every group alike, in its group, in the tensor's state; and a checkpoint brings it back to the bit."""
    part = make(per)
    ends, (opt,) = run(part, [1, 3])
    in_groups = [{n: g.get(n) for n in part.memory} for g in opt.param_groups]
    in_state = [{n: s.get(n) for n in part.memory} for s in opt.state.values()]
    assert (in_groups[0] == in_groups[1]) == (per != "group")
    assert (len({tuple(s.values()) for s in in_state}) == 4) == (per == "tensor")
    params, (half,) = run(part, [1, 3], steps=4)
    fresh = [nn.Parameter(p.clone()) for p in params]
    other = steepest.Optimizer([{"params": fresh[:1]}, {"params": fresh[1:]}], step_size=part, direction=half.direction,
                               lift="eager")  # fmt: skip
    other.load_state_dict(half.state_dict())
    for _ in range(4):
        for p in fresh:
            p.grad = None
        loss_of(list(fresh)).backward()
        other.step()
    assert same([p.detach() for p in fresh], ends)


@ALL
@pytest.mark.parametrize("per", ["group", "tensor"])
def test_a_spoiled_tensor_keeps_to_itself(make: Callable[[Per], S.StepSize], per: Per) -> None:
    """NaN in one: those who share its step size are left as they are, others go on as if nothing had happened."""
    params = [nn.Parameter(torch.ones(2) * k) for k in (2.0, 3.0)]
    opt = steepest.Optimizer(
        [{"params": [p]} for p in params], step_size=make(per), direction=WITH.get(type(make(per)))
    )
    loss_of(list(params)).backward()
    opt.step()
    kept = [p.detach().clone() for p in params]
    params[0].grad[0] = torch.nan  # type: ignore[index]
    with pytest.warns(UserWarning, match="NaN"):
        opt.step()
    assert torch.equal(params[0][0], kept[0][0])
    assert not torch.equal(params[1], kept[1])
    assert all(math.isfinite(v) for s in opt.state.values() for v in s.values() if isinstance(v, float))
    opt.step()
    assert all(torch.isfinite(p).all() for p in params)


def test_line_searches_are_shared_by_all() -> None:
    with pytest.raises(TypeError, match="per"):
        S.SLS(per="tensor")  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="did you mean 'tensor'"):
        S.DoG(per="tensors")  # type: ignore[arg-type]
