"""Groups that bring a direction: numbers and state of their own, as if each were an optimizer."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import steepest
from steepest import geometry, point, stepsize
from steepest.direction import Adam, Cautious, Choose, Direction, Lion, Momentum, NAdam, Sign


def model() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.LayerNorm(7), nn.Linear(7, 1))


X, Y = torch.randn(64, 5, generator=torch.Generator().manual_seed(0)), torch.ones(64, 1)


def train(net: nn.Module, *opts: Any, steps: int = 6) -> nn.Module:
    for _ in range(steps):
        net.zero_grad()
        loss = (net(X) - Y).square().mean()
        loss.backward()
        for opt in opts:
            if len(opts) == 1:
                opt.step(lambda: (net(X) - Y).square().mean())
            else:
                opt.step()
    return net


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def grouped(net: nn.Sequential, **options: Any) -> steepest.Optimizer:
    """The first layer by its own NAdam, the norm by signs, the last layer by what the optimizer has."""
    groups = [{"params": net[0].parameters(), "direction": Cautious(NAdam(beta1=0.8)), "betas": (0.7, 0.9)},
              {"params": net[2].parameters(), "direction": Sign(), "lr": 0.001},
              {"params": net[3].parameters(), "momentum": 0.5}]  # fmt: skip
    return steepest.Optimizer(groups, **{"lr": 0.01, "direction": Momentum(), **options})


@pytest.mark.parametrize("lift", ["eager", "auto"])
def test_three_optimizers_in_one(lift: Any) -> None:
    net, other = model(), model()
    decay = geometry.Decay(weight_decay=0.1)
    opt = grouped(net, lift=lift, geometry=decay)
    given: dict[str, Any] = {"lift": lift, "geometry": decay}
    apart = [steepest.Optimizer(other[0].parameters(), lr=0.01, direction=Cautious(NAdam(beta1=0.7, beta2=0.9)), **given),
             steepest.Optimizer(other[2].parameters(), lr=0.001, direction=Sign(), **given),
             steepest.Optimizer(other[3].parameters(), lr=0.01, direction=Momentum(momentum=0.5), **given)]  # fmt: skip
    assert same(train(net, opt), train(other, *apart))
    nadam, sign, momentum = ["m", "mu_product", "step", "v"], ["step"], ["m", "step"]
    assert [sorted(opt.state[p]) for p in net.parameters()] == [nadam, nadam, sign, sign, momentum, momentum]
    first, second, third = opt.param_groups
    assert [g.get("direction", "")[:9] for g in opt.param_groups] == ["1: Cautio", "2: Sign()", ""]
    assert "momentum" not in first | second
    assert "betas" not in second | third
    assert first["betas"] == (0.7, 0.9)
    assert [g["weight_decay"] for g in opt.param_groups] == [0.1] * 3
    assert "with 1: Cautious(NAdam(" in repr(opt)
    assert "dozat2016nadam" in opt.cite()


@pytest.mark.parametrize("options", [
    {"step_size": stepsize.DoG(reps_rel=1e-2), "lr": 1.0}, {"step_size": stepsize.SLS(), "lr": 1.0},
    {"point": point.SAM()}, {"codec": "int8"}, {"point": point.Average()},
], ids=str)  # fmt: skip
def test_it_resumes_to_the_bit(options: dict[str, Any]) -> None:
    """Files, copies and pickles go on alike, in whatever the groups stand."""
    net = model()
    opt = grouped(net, **options)
    train(net, opt)
    file = io.BytesIO()
    torch.save(opt.state_dict(), file)
    again = copy.deepcopy(net)
    other = grouped(again, **options)
    other.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    twins = [copy.deepcopy((net, opt)), pickle.loads(pickle.dumps((net, opt))), (again, other)]
    before = copy.deepcopy(net)
    train(net, opt)
    assert not same(net, before)
    for its, one in twins:
        assert same(train(its, one), net)


def test_equal_directions_are_one() -> None:
    """Groups with the optimizer's own direction, or an equal one, go as without groups of their own."""
    net, other = model(), model()
    plain = steepest.Optimizer(other.parameters(), lr=0.01, direction=Adam())
    adam = Adam()
    groups = [{"params": net[0].parameters(), "direction": Adam()}, {"params": net[2:].parameters(), "direction": adam}]
    opt = steepest.Optimizer(groups, lr=0.01, direction=adam)
    assert same(train(net, opt), train(other, plain))
    assert [("direction" in g) for g in opt.param_groups] == [True, False]
    assert all(isinstance(g["direction"], Direction) for g in groups)  # the caller's are as they were
    second = steepest.Optimizer(groups, lr=0.01)
    assert len({g["direction"] for g in second.param_groups}) == 2


def test_a_named_method_and_a_later_group() -> None:
    """AdamW whose new head goes by Lion; and a group with a choice."""
    net = model()
    opt = steepest.AdamW(net[:3].parameters(), lr=0.01)
    train(net, opt, steps=2)
    opt.add_param_group({"params": net[3].parameters(), "direction": Choose(Lion(), Momentum()), "lr": 0.005})
    train(net, opt, steps=2)
    first, *_, weight, bias = net.parameters()
    assert sorted(opt.state[weight]) == ["step", "then_m"]
    assert sorted(opt.state[bias]) == ["otherwise_m", "step"]
    assert sorted(opt.state[first]) == ["m", "step", "v"]
    assert sorted(opt.state_dict()["state"][0]) == ["exp_avg", "exp_avg_sq", "step"]
    assert opt.param_groups[1]["betas"] == (0.9, 0.99)  # Lion's; AdamW's are not there
    assert opt.param_groups[1]["momentum"] == 0.9


def test_a_momentum_that_comes_later() -> None:
    """Plain SGD whose schedule gives a momentum: where it is SGD, and the state of others stays."""
    p, q, r = (nn.Parameter(torch.ones(2)) for _ in range(3))
    groups = [
        {"params": [p], "direction": Momentum(momentum=0.8)},
        {"params": [q]},
        {"params": [r], "direction": Lion()},
    ]
    opt = steepest.SGD(groups, lr=0.1)
    twin = steepest.Optimizer([nn.Parameter(torch.ones(2))], lr=0.1, direction=Lion())
    for t in range(6):
        for x in (p, q, r, twin.param_groups[0]["params"][0]):
            x.grad = torch.ones(2) * (t - 2.2)
        opt.param_groups[1]["momentum"] = 0.9 * (t > 2)
        opt.step()
        twin.step()
        assert [sorted(opt.state[x]) for x in (p, q, r)] == [
            ["m", "step"],
            ["m", "step"] if t > 2 else ["step"],
            ["m", "step"],
        ]
    assert opt.param_groups[0]["momentum"] == 0.8
    assert torch.equal(r, twin.param_groups[0]["params"][0])


def test_refused_calls_change_nothing() -> None:
    """A wrong direction, a number that it has not, a checkpoint of others."""
    net = model()
    opt = steepest.Optimizer(net[:3].parameters(), lr=0.01, direction=Adam(), geometry=geometry.Decay())
    new = [nn.Parameter(torch.ones(2))]
    for group, kind, says in (
        ({"direction": Sign}, TypeError, r"make it with Sign\(\)"),
        ({"direction": "Sign"}, TypeError, "must be a Direction part"),
        ({"direction": Momentum(), "betas": (0.9, 0.99)}, TypeError, "has no betas"),
        ({"direction": Momentum(), "momentun": 0.9}, TypeError, "did you mean 'momentum'"),
        ({"direction": Momentum(), "momentum": 1.5}, ValueError, "momentum must lie"),
        ({"direction": Lion(), "betas": (0.9, 2.0)}, ValueError, "beta2 must lie"),
        ({"direction": steepest.direction.Coupled(Sign())}, ValueError, "both own 'weight_decay'"),
    ):
        with pytest.raises(kind, match=says):
            opt.add_param_group({"params": new, **group})
        assert len(opt.param_groups) == len(opt.sides) == 1
        assert "direction" not in opt.param_groups[0]
    train(net, opt, steps=1)
    opt.add_param_group({"params": new, "direction": Sign()})
    other = steepest.Optimizer(model()[:3].parameters(), lr=0.01, direction=Adam(), geometry=geometry.Decay())
    other.add_param_group({"params": [nn.Parameter(torch.ones(2))], "direction": Lion()})
    with pytest.raises(ValueError, match=r"group 1 .* was saved with the direction 1: Sign\(\), here it has 1: Lion"):
        other.load_state_dict(opt.state_dict())
    assert not other.state
    opt.param_groups[1]["direction"] = Lion()
    new[0].grad = torch.ones(2)
    with pytest.raises(TypeError, match="is given when the group is added"):
        opt.step()


def test_frozen_and_sparse_beside() -> None:
    """Parameters without a gradient wait, whichever direction they have."""
    p, q = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    opt = steepest.Optimizer([{"params": [p], "direction": Lion()}, {"params": [q]}], lr=0.1, direction=Adam())
    grad: Tensor = torch.ones(3)
    q.grad = grad
    opt.step()
    assert opt.state[p] == {}
    p.grad = grad
    opt.step()
    assert opt.state[p]["step"] == 1
    assert opt.state[q]["step"] == 2
