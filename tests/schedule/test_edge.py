"""Learning rates from curvature: the formulas, what they are best for, any optimizer, and a run that is resumed."""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import steepest
from steepest import landscape
from steepest.schedule import EdgeRule, edge, scale_lr

Make = Callable[[Any], torch.optim.Optimizer]
HEAVY: dict[str, Make] = {
    "ours": lambda p: steepest.SGD(p, lr=1.0, momentum=0.5),
    "torch": lambda p: torch.optim.SGD(p, lr=1.0, momentum=0.5),
}
NESTEROV: dict[str, Make] = {
    "ours": lambda p: steepest.SGD(p, lr=1.0, momentum=0.5, nesterov=True),
    "torch": lambda p: torch.optim.SGD(p, lr=1.0, momentum=0.5, nesterov=True),
}


def test_scaling() -> None:
    """A law of powers for small batches; with a saturation B* the ratio of 1/(1 + B*/B), so never more than 1 + B*/B₀."""
    assert scale_lr(0.3, 8, 32) == 1.2
    assert scale_lr(0.3, 8, 32, "sqrt") == pytest.approx(0.6)
    assert scale_lr(0.3, 8, 8, saturation=5) == pytest.approx(0.3)
    assert scale_lr(scale_lr(0.3, 8, 100, saturation=30), 100, 8, saturation=30) == pytest.approx(0.3)
    assert scale_lr(1.0, 8, 1e12, saturation=24) == pytest.approx(4.0)
    assert scale_lr(1.0, 8, 16, saturation=1e9) == pytest.approx(2.0)
    assert scale_lr(1.0, 8, 16, "sqrt", saturation=16) == pytest.approx(math.sqrt(1.5))
    assert scale_lr(1.0, 8, 1024, saturation=0) == 1.0


def test_scaling_is_two_over_the_batch_edge() -> None:
    law = landscape.BatchEdge(whole=3.0, noise=900.0)
    for rule, power in (("linear", 1.0), ("sqrt", 0.5)):
        known = (law.at(200) / law.at(1000)) ** power
        assert scale_lr(1.0, 200, 1000, rule, law.saturation) == pytest.approx(known, rel=1e-12)


@pytest.mark.parametrize(("wrong", "says"), [({"rule": "log"}, "sqrt"), ({"B": 0}, "B"), ({"lr": -1.0}, "lr"),
                                             ({"saturation": -1.0}, "saturation")])  # fmt: skip
def test_bad_scaling(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        scale_lr(**{"lr": 0.1, "B0": 8, "B": 16, **wrong})


def test_the_formulas() -> None:
    """μ = 1, L = 9: (2/4)² and ((3 - 1)/4)²; Nesterov 1/9 and 1/2; without momentum 2/10."""
    for table, lr, momentum in ((HEAVY, 0.25, 0.25), (NESTEROV, 1 / 9, 0.5)):
        for make in table.values():
            opt = make([nn.Parameter(torch.ones(2))])
            EdgeRule(opt, lambda: (1.0, 9.0), scale=1).step()
            assert opt.param_groups[0]["lr"] == pytest.approx(lr, rel=1e-15)
            assert opt.param_groups[0]["momentum"] == pytest.approx(momentum, rel=1e-15)
    plain = steepest.SGD([nn.Parameter(torch.ones(2))], lr=1.0)
    EdgeRule(plain, lambda: (1.0, 9.0)).step()
    assert plain.param_groups[0]["lr"] == pytest.approx(0.1)
    assert plain.param_groups[0]["momentum"] == 0.0
    singular = HEAVY["ours"]([nn.Parameter(torch.ones(2))])
    EdgeRule(singular, lambda: (-5.0, 4.0), floor=0.25, scale=1).step()  # μ = 1
    assert singular.param_groups[0]["lr"] == pytest.approx((2 / 3) ** 2)
    assert singular.param_groups[0]["momentum"] == pytest.approx(1 / 9)


@pytest.mark.parametrize("lr", ["number", "tensor"])
def test_every_group_and_a_tensor(lr: str) -> None:
    start: Any = torch.tensor(1.0) if lr == "tensor" else 1.0
    groups: list[dict[str, Any]] = [
        {"params": [nn.Parameter(torch.ones(2))]},
        {"params": [nn.Parameter(torch.ones(1))], "momentum": 0.1},
    ]
    opt = torch.optim.SGD(groups, lr=start, momentum=0.9)
    EdgeRule(opt, lambda: (1.0, 9.0), scale=1).step()
    assert [float(g["lr"]) for g in opt.param_groups] == [0.25, 0.25]
    assert [g["momentum"] for g in opt.param_groups] == [0.25, 0.25]
    assert isinstance(opt.param_groups[0]["lr"], torch.Tensor) == (lr == "tensor")


def rate(beta: float, eta: float, values: torch.Tensor) -> float:
    """The heavy ball's rate on a quadratic with these eigenvalues: the largest root of z² - (1 + β - ηλ) z + β."""
    b = (1 + beta - eta * values.to(torch.complex128)) / 2
    root = torch.sqrt(b * b - beta)
    return float(torch.maximum((b + root).abs(), (b - root).abs()).max())


def test_no_other_constants_are_better_on_a_quadratic() -> None:
    values = torch.linspace(0.7, 60.0, 50, dtype=torch.float64)
    opt = HEAVY["ours"]([nn.Parameter(torch.ones(2))])
    EdgeRule(opt, lambda: landscape.edges(torch.diag(values), tol=1e-9), scale=1).step()
    eta, beta = opt.param_groups[0]["lr"], opt.param_groups[0]["momentum"]
    best = rate(beta, eta, values)
    assert best == pytest.approx(math.sqrt(beta), abs=1e-4)
    others = [rate(beta * b, eta * e, values) for b in (0.8, 0.9, 1.0, 1.1, 1.2) for e in (0.8, 0.9, 1.0, 1.1, 1.2)]
    assert min(others) >= best - 1e-4


def problem(seed: int = 0) -> tuple[nn.Module, Callable[[], torch.Tensor]]:
    torch.manual_seed(seed)
    model, x, y = (
        nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)),
        torch.randn(20, 4),
        torch.randint(3, (20,)),
    )
    return model, lambda: F.cross_entropy(model(x), y)


def rule_of(model: nn.Module, loss: Callable[[], torch.Tensor], opt: torch.optim.Optimizer) -> EdgeRule:
    return EdgeRule(opt, lambda: landscape.edges(landscape.Loss(model, loss)), every=4, floor=0.01, scale=0.5)


def test_it_trains_and_counts_what_it_costs() -> None:
    model, loss = problem()
    opt = steepest.SGD(model.parameters(), lr=1e-9, momentum=0.9)
    rule, first = rule_of(model, loss, opt), loss().item()
    for _ in range(40):
        rule.step()
        opt.step(loss)
    assert loss().item() < 0.5 * first
    assert rule.cost["hvps"] >= 12 * 2  # ten measurements, and two at the start
    assert rule.cost["forwards"] == 12 == rule.cost["backwards"]
    assert opt.counters.forwards == 40


def test_a_run_resumed_is_the_same() -> None:
    whole, kept = [], io.BytesIO()
    for part in ("whole", "first", "second"):
        model, loss = problem()
        opt = steepest.SGD(model.parameters(), lr=1e-9, momentum=0.9)
        rule = rule_of(model, loss, opt)
        if part == "second":
            kept.seek(0)
            saved = torch.load(kept, weights_only=True)
            model.load_state_dict(saved["model"])
            opt.load_state_dict(saved["opt"])
            rule.load_state_dict(saved["rule"])
        for t in range(0 if part != "second" else 6, 6 if part == "first" else 12):
            rule.step()
            value = opt.step(loss).item()
            if part == "whole":
                whole.append(value)
            else:
                assert value == whole[t]
        if part == "first":
            states = {"model": model.state_dict(), "opt": opt.state_dict(), "rule": rule.state_dict()}
            torch.save(copy.deepcopy(states), kept)


@pytest.mark.parametrize(
    ("forget", "kept"), [(1.0, [9, 9, 16, 16, 16]), (0.5, [9, 4.5, 16, 8, 4]), (0.0, [9, 4, 16, 1, 2])]
)
def test_sharpness_is_not_forgotten(forget: float, kept: list[float]) -> None:
    """L is the largest seen, or not below a part of the last."""
    ends = iter([9.0, 4.0, 16.0, 1.0, 2.0])
    rule = EdgeRule(HEAVY["ours"]([nn.Parameter(torch.ones(2))]), lambda: (0.1, next(ends)), every=1, forget=forget)
    seen = []
    for _ in kept:
        rule.step()
        seen.append(rule.high)
    assert seen == kept


def test_when_it_measures() -> None:
    """After 0, 1, 2, 4, 8 steps, then at multiples of ten."""
    asked: list[int] = []

    def measure() -> tuple[float, float]:
        asked.append(rule.t)
        return 0.5, 1.0

    rule = EdgeRule(HEAVY["ours"]([nn.Parameter(torch.ones(2))]), measure, every=10)
    for _ in range(31):
        rule.step()
    assert asked == [0, 1, 2, 4, 8, 10, 20, 30]


def test_processes_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one saw 3 and 27."""
    monkeypatch.setattr(edge, "together", lambda: True)
    monkeypatch.setattr(edge, "summed", lambda t: t + torch.tensor([3.0, 27.0], dtype=torch.float64))
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    rule = EdgeRule(HEAVY["ours"]([nn.Parameter(torch.ones(2))]), lambda: (1.0, 9.0))
    rule.step()
    assert (rule.low, rule.high) == (2.0, 18.0)


@pytest.mark.parametrize("ends", [(math.nan, 1.0), (0.0, math.inf), (-2.0, -1.0), (0.0, 0.0)])
def test_a_bad_measurement_leaves_everything(ends: tuple[float, float]) -> None:
    opt = HEAVY["ours"]([nn.Parameter(torch.ones(2))])
    rule = EdgeRule(opt, lambda: ends, every=1)
    rule.step()
    assert (opt.param_groups[0]["lr"], opt.param_groups[0]["momentum"], rule.kept) == (1.0, 0.5, 1)


SQUARES = (steepest.Adam, steepest.AdaBelief, torch.optim.Adam, torch.optim.RMSprop, torch.optim.Adagrad)


@pytest.mark.parametrize("make", SQUARES)
def test_who_divides_by_gradients_is_refused(make: Callable[..., torch.optim.Optimizer]) -> None:
    with pytest.raises(TypeError, match="take SGD"):
        EdgeRule(make([nn.Parameter(torch.ones(1))], lr=0.1), lambda: (1.0, 2.0))


@pytest.mark.parametrize(
    ("wrong", "says"), [({"every": 0}, "every"), ({"floor": 2.0}, "floor"), ({"scale": 0.0}, "scale")]
)
def test_bad_numbers(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        EdgeRule(HEAVY["ours"]([nn.Parameter(torch.ones(1))]), lambda: (1.0, 2.0), **wrong)


def test_dampening_is_refused() -> None:
    with pytest.raises(ValueError, match="dampening"):
        EdgeRule(
            torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0, momentum=0.9, dampening=0.1), lambda: (1.0, 2.0)
        )
