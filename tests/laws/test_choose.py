"""A direction for some parameters: each parameter goes as under an optimizer of its own, in whatever the choice stands."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import steepest
from steepest import chart, geometry, point, stepsize
from steepest.direction import Adam, Cautious, Choose, Coupled, Direction, Lion, Mars, Momentum, NAdam, Sign

LIFTS = ("eager", "native", "auto")


def model() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.LayerNorm(7), nn.Linear(7, 1))


def run(opt_of: Callable[[nn.Sequential], Any], steps: int = 8) -> tuple[nn.Sequential, list[Any]]:
    net = model()
    x, y = torch.randn(64, 5), torch.randn(64, 1)
    made = opt_of(net)
    opts: list[Any] = list(made) if isinstance(made, (list, tuple)) else [made]
    for _ in range(steps):
        go(net, opts, x, y)
    return net, opts


def go(net: nn.Module, opts: list[Any], x: Tensor, y: Tensor) -> None:
    def loss() -> Tensor:
        return (net(x) - y).square().mean()

    if len(opts) == 1:
        opts[0].step(loss)
        return
    net.zero_grad()
    loss().backward()
    for opt in opts:
        opt.step()


def same(a: nn.Module, b: nn.Module, rtol: float = 0.0) -> bool:
    pairs = zip(a.parameters(), b.parameters(), strict=True)
    return all(torch.allclose(p, q, rtol=rtol, atol=rtol) if rtol else torch.equal(p, q) for p, q in pairs)


def matrices(net: nn.Module) -> list[nn.Parameter]:
    return [p for p in net.parameters() if p.dim() >= 2]


def vectors(net: nn.Module) -> list[nn.Parameter]:
    return [p for p in net.parameters() if p.dim() < 2]


@pytest.mark.parametrize("lift", LIFTS)
@pytest.mark.parametrize("pair", [(Lion, Adam), (NAdam, NAdam), (NAdam, Sign), (Sign, NAdam), (Momentum, Direction)])
def test_two_optimizers_in_one(pair: tuple[type[Direction], type[Direction]], lift: Any) -> None:
    """Each parameter goes as if its direction were alone, at its learning rate, with decay at that rate."""
    first, second = pair

    def chosen(net: nn.Module) -> Any:
        direction = Choose(by="matrix", then=first(), otherwise=second(), lr_ratio=0.5)
        return steepest.Optimizer(
            net.parameters(), lr=0.02, direction=direction, lift=lift, geometry=geometry.Decay(0.1)
        )

    def apart(net: nn.Module) -> Any:
        return [steepest.Optimizer(params, lr=lr, direction=direction, lift=lift, geometry=geometry.Decay(0.1))
                for params, lr, direction in ((matrices(net), 0.02, first()), (vectors(net), 0.01, second()))]  # fmt: skip

    assert same(run(chosen)[0], run(apart)[0], 1e-6)


@pytest.mark.parametrize("given", [
    {"step_size": stepsize.DoG(reps_rel=1e-2)}, {"step_size": stepsize.SPS()}, {"step_size": stepsize.SLS()},
    {"step_size": stepsize.DoG(per="group", reps_rel=1e-2)}, {"step_size": stepsize.DoG(per="tensor", reps_rel=1e-2)},
    {"point": point.SAM(), "lr": 0.01}, {"point": point.Average(), "lr": 0.01}, {"point": point.Lookahead(k=2), "lr": 0.01},
    {"chart": chart.LowRank(rank=2, every=3), "lr": 0.01}, {"codec": "int8", "lr": 0.01},
    {"point": point.ExtraGradient(), "lr": 0.01}, {"nonfinite": "skip", "lr": 0.01},
], ids=lambda given: " ".join(f"{v}".split("(")[0] for v in given.values()))  # fmt: skip
@pytest.mark.parametrize("inner", [Adam, NAdam])
def test_twice_the_same_is_once(given: dict[str, Any], inner: type[Direction]) -> None:
    """A choice between equal directions is that direction, whatever stands around it: sums are those of all parameters."""

    def chosen(net: nn.Module) -> Any:
        return steepest.Optimizer(net.parameters(), direction=Choose(inner(), inner()), **given)

    def plain(net: nn.Module) -> Any:
        return steepest.Optimizer(net.parameters(), direction=inner(), **given)

    ours, theirs = run(chosen), run(plain)
    rounded = given.get("codec") == "int8" or "step_size" in given  # other bits, another order of sums
    assert same(ours[0], theirs[0], 1e-2 if given.get("codec") else 1e-6 if rounded else 0.0)
    assert not same(ours[0], model(), 1e-4)
    told = {k: v for k, v in ours[1][0].metrics().items() if k in theirs[1][0].metrics()}
    assert told == pytest.approx(theirs[1][0].metrics(), rel=1e-2 if given.get("codec") else 1e-5)


def test_inside_others() -> None:
    """A direction around a choice is a choice between directions around each."""

    def make(direction: Direction) -> Callable[[nn.Module], Any]:
        return lambda net: steepest.Optimizer(net.parameters(), lr=0.01, direction=direction)

    outside = make(
        Cautious(Choose(by="matrix", then=Lion(), otherwise=Coupled(Adam(), weight_decay=0.1), lr_ratio=0.3))
    )
    inside = make(Choose(by="matrix", then=Cautious(Lion()), otherwise=Cautious(Coupled(Adam(), weight_decay=0.1)),
                         lr_ratio=0.3))  # fmt: skip
    assert same(run(outside)[0], run(inside)[0])
    mars = make(Mars(Choose(by="matrix", then=Lion(), otherwise=Adam())))  # needs beta1, which is each one's own
    assert same(run(mars)[0], run(make(Choose(then=Mars(Lion()), otherwise=Mars(Adam()))))[0])


def test_names_and_three_directions() -> None:
    """A condition on names; a choice inside a choice; everything that two have has its prefix, and is live."""
    net = model()
    inner = Choose(by="matrix", then=Lion(), otherwise=Adam(), lr_ratio=0.1)
    direction = Choose(by=lambda name, x: "3." in str(name), then=Adam(beta1=0.8), otherwise=inner, lr_ratio=0.5)
    opt = steepest.Optimizer(net.named_parameters(), lr=0.01, direction=direction)
    assert [opt.side(p).place for p in net.parameters()] == [1, 2, 2, 2, 0, 0]
    group = opt.param_groups[0]
    assert group["then_eps"] == group["otherwise_eps"] == 1e-8
    assert group["betas"] == (0.8, 0.999)
    assert [v for n, v in group.items() if n.endswith("_beta1")] == [0.9, 0.9]
    assert (group["lr_ratio"], group["otherwise_lr_ratio"]) == (0.5, 0.1)


def test_live_numbers() -> None:
    """The numbers of each direction, and the ratio of learning rates, may be set by group and at any time."""
    net = model()
    opt = steepest.Optimizer(
        [{"params": net[0].parameters(), "then_beta1": 0.5}, {"params": net[2:].parameters(), "lr_ratio": 0.0}],
        lr=0.01, direction=Choose(by="matrix", then=Lion(), otherwise=Adam()))  # fmt: skip
    assert [g["then_beta1"] for g in opt.param_groups] == [0.5, 0.9]
    before = copy.deepcopy(net.state_dict())
    go(net, [opt], torch.randn(64, 5), torch.randn(64, 1))
    moved = {k: not torch.equal(v, before[k]) for k, v in net.state_dict().items()}
    assert moved == {
        "0.weight": True,
        "0.bias": True,
        "2.weight": False,
        "2.bias": False,
        "3.weight": True,
        "3.bias": False,
    }
    with pytest.raises(ValueError, match="then_beta1"):
        opt.add_param_group({"params": [nn.Parameter(torch.ones(2))], "then_beta1": 1.5})
    assert len(opt.param_groups) == 2


def test_checkpoints() -> None:
    """State tells which side a parameter was on; another condition is refused, and nothing is changed then."""
    make = lambda net, by="matrix": steepest.Optimizer(net.parameters(), lr=0.01, direction=Choose(  # noqa: E731
        by=by, then=Momentum(), otherwise=Choose(by=lambda name, x: x.dim() > 3, then=Sign(), otherwise=Adam())))  # fmt: skip
    net, (opt,) = run(make)
    file = io.BytesIO()
    torch.save(opt.state_dict(), file)
    saved = torch.load(io.BytesIO(file.getvalue()), weights_only=True)
    again = copy.deepcopy(net)
    other = make(again)
    other.load_state_dict(saved)
    x, y = torch.randn(64, 5), torch.randn(64, 1)
    go(net, [opt], x, y)
    go(again, [other], x, y)
    assert same(net, again)
    wrong = make(again, by=lambda name, x: x.dim() < 2)
    with pytest.raises(
        ValueError, match=r"parameter 0 was on another side of Choose\(.*'then_m'.*choose as it was done then"
    ):
        wrong.load_state_dict(saved)
    assert not wrong.state


def test_states_of_torch() -> None:
    """Names of torch's optimizers are those of each parameter's own direction."""
    net = model()
    opt = steepest.Optimizer(net.parameters(), lr=0.01, direction=Choose(by="matrix", then=Lion(), otherwise=Adam()))
    theirs = torch.optim.Adam(net.parameters(), lr=0.01)
    net(torch.randn(3, 5)).sum().backward()
    theirs.step()
    saved = theirs.state_dict()
    saved["state"] = {k: v for k, v in saved["state"].items() if k not in (0, 4)}
    opt.load_state_dict({**saved, "param_groups": opt.state_dict()["param_groups"]})
    first, bias = matrices(net)[0], vectors(net)[0]
    assert torch.equal(opt.state[bias]["otherwise_m"], theirs.state[bias]["exp_avg"])
    assert first not in opt.state


def test_copies_and_words() -> None:
    """Pickle, deepcopy, repr and cite; a parameter that comes later is on a side, too."""
    net, (opt,) = run(
        lambda net: steepest.Optimizer(net.parameters(), lr=0.01, direction=Choose(then=Lion(), otherwise=Adam()))
    )
    twins = copy.deepcopy((net, opt)), pickle.loads(pickle.dumps((net, opt)))
    x, y = torch.randn(64, 5), torch.randn(64, 1)
    go(net, [opt], x, y)
    for other, its in twins:
        go(other, [its], x, y)
        assert same(net, other)
    assert "Choose(Lion(beta1=0.9, beta2=0.99), Adam(" in repr(opt)
    assert "chen2023lion" in opt.cite()
    assert "kingma2015adam" in opt.cite()
    extra = nn.Parameter(torch.ones(3, 3))
    opt.add_param_group({"params": [extra]})
    extra.grad = torch.ones(3, 3)
    opt.step()
    assert {*opt.state[extra]} == {"then_m", "step"}


def test_one_kernel_a_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many parameters and groups, and whatever the condition costs: kernels are as many as sides."""
    calls = []

    def by(name: str | None, x: Tensor) -> bool:
        calls.append(name)
        return x.dim() > 1

    direction = Choose(by=by, then=Lion(), otherwise=Adam())
    net, (opt,) = run(
        lambda net: steepest.Optimizer([{"params": [p]} for p in net.parameters()], lr=0.01, direction=direction)
    )
    assert len(opt.kernels) == 2
    before = len(calls)
    go(net, [opt], torch.randn(64, 5), torch.randn(64, 1))
    assert len(calls) == before


@pytest.mark.parametrize(("made", "kind", "says"), [
    (lambda p: Choose(by="matrx", then=Lion(), otherwise=Adam()), ValueError, "did you mean 'matrix'"),  # type: ignore[arg-type]
    (lambda p: Choose(by=2, then=Lion(), otherwise=Adam()), TypeError, "a word or a function"),  # type: ignore[arg-type]
    (lambda p: Choose(Lion(), Adam), TypeError, r"make it with Adam\(\)"),  # type: ignore[arg-type]
    (lambda p: steepest.Optimizer(p, direction=Choose(Lion(), Coupled(Adam())), geometry=geometry.Decay()), ValueError,
     "both own 'weight_decay'"),
    (lambda p: steepest.Optimizer(p, direction=Mars(Choose(Sign(), Adam()))), ValueError, "needs beta1"),
    (lambda p: steepest.Optimizer(p, direction=Choose(Adam(), Adam()), step_size=stepsize.DAdaptAdam()), ValueError,
     "needs .*beta2.* more than one direction"),
    (lambda p: steepest.Optimizer(p, direction=Choose(Adam(), Adam(), by=lambda name, x: "bias" in name)),  # type: ignore[operator]
     TypeError, "not iterable"),
    (lambda p: chart.Split(rank=1, complement=Choose(Sign(), Direction())), TypeError, "without state"),
])  # fmt: skip
def test_mistakes(made: Callable[[Any], Any], kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        made([nn.Parameter(torch.ones(3, 3))])
