"""Laws of averages: training does not see them, they are the mean they say, and x comes back to the bit."""

from __future__ import annotations

import copy
import io
import pickle
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

import steepest
from steepest import oracle, point
from tests.laws.common import few, matrices, streams, walk
from tests.oracle.curved import OwnLabels

Average = point.Average


def net() -> tuple[nn.Module, Tensor, Tensor]:
    """A small regression."""
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    with torch.no_grad():
        for k, p in enumerate(model.parameters()):
            p.copy_(matrices(p.numel(), 1, k).reshape(p.shape) / 2)
    return model, matrices(8, 3, 0), matrices(8, 2, 1)


def train(make: Any, steps: int = 6, **options: Any) -> tuple[nn.Module, Any, list[list[Tensor]]]:
    """The model, the optimizer and the points after each step."""
    model, x, y = net()
    if make is steepest.SophiaG:
        options |= {"estimate": OwnLabels(every=2)}
    opt, points = make(model.parameters(), **options), []
    for _ in range(steps):
        opt.step(lambda: (model(x) - y).square().mean())
        points.append(weights(model))
    return model, opt, points


def weights(model: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


def seen(model: nn.Module, opt: Any) -> list[Tensor]:
    with opt.averaged():
        return weights(model)


def takes_a_point(name: str) -> bool:
    """Whether the method leaves its point to the user."""
    return type(steepest.methods[name].make([nn.Parameter(torch.zeros(2, 2))]).point) is point.Point


@pytest.mark.parametrize("name", [n for n in steepest.methods if takes_a_point(n)])
def test_training_does_not_see_the_average(name: str) -> None:
    """Every method goes the same way with an average as without, to the bit, and the average is another point."""
    make = steepest.methods[name].make
    plain, _, _ = train(make)
    model, opt, _ = train(make, point=Average())
    assert same(weights(plain), weights(model))
    before = weights(model)
    assert not same(seen(model, opt), before)
    assert same(weights(model), before)


@pytest.mark.parametrize("inner", [point.SAM(rho=0.1), point.Lookahead(k=2), point.ExtraGradient(), point.Optimistic(),
                                   point.Point()], ids=repr)  # fmt: skip
def test_every_point_can_be_averaged(inner: point.Point) -> None:
    """It goes its own way, and the mean is that of the points it keeps."""
    _, _, alone = train(steepest.SGD, lr=0.1, point=inner)
    model, opt, points = train(steepest.SGD, lr=0.1, point=Average(inner, gamma=0))
    assert all(same(a, b) for a, b in zip(alone, points, strict=True))
    for found, *rows in zip(seen(model, opt), *points, strict=True):
        assert torch.allclose(found, torch.stack(rows).mean(0), rtol=1e-12)


def test_losses_alone_can_be_averaged() -> None:
    """An oracle without gradients beside an average."""
    model, opt, points = train(steepest.MeZO, lr=1e-3, point=Average(gamma=0))
    assert torch.allclose(seen(model, opt)[0], torch.stack([p[0] for p in points]).mean(0), rtol=1e-12)
    assert isinstance(opt.oracle, oracle.TwoPoint)


@few
@given(gs=streams(length=5), gamma=st.sampled_from([0, 1, 3, 8]))
def test_the_average_is_a_weighted_mean(gs: list[Tensor], gamma: int) -> None:
    """Weights add up to one, grow as t^γ, and the start has none: points of a constant are that constant."""
    points = walk(steepest.Optimizer, gs, lr=0.5)
    x = nn.Parameter(torch.zeros_like(gs[0]))
    opt = steepest.Optimizer([x], lr=0.5, point=Average(gamma=gamma), lift="eager")
    w = [(1 + gamma) / (t + gamma) for t in range(1, 6)]
    shares = [w[t] * torch.prod(torch.tensor([1 - v for v in w[t + 1 :]], dtype=torch.float64)) for t in range(5)]
    for g in gs:
        opt.step(lambda g=g: (g * x).sum())  # type: ignore[misc]
    with opt.averaged():
        assert torch.allclose(x.detach(), torch.stack(shares) @ torch.stack(points), atol=1e-12)
    assert float(sum(shares)) == pytest.approx(1.0, rel=1e-14)
    assert [float(s) for s in shares] == sorted(float(s) for s in shares)


def test_it_is_torchs_averaged_model() -> None:
    """``swa_utils.AveragedModel`` with the same weights says the same."""
    model, x, y = net()
    other = AveragedModel(model, avg_fn=lambda mean, p, n: mean + 9 / (n + 9) * (p - mean))
    opt = steepest.AdamW(model.parameters(), lr=0.05, point=Average())
    for _ in range(7):
        opt.step(lambda: (model(x) - y).square().mean())
        other.update_parameters(model)
    for found, theirs in zip(seen(model, opt), other.module.parameters(), strict=True):
        assert torch.allclose(found, theirs, rtol=1e-12)


@pytest.mark.parametrize("how", ["file", "pickle", "deepcopy", "codec"])
def test_it_goes_on_to_the_bit(how: str) -> None:
    """Saved in mid-run and loaded, or copied: the same points, the same average; a codec does not touch it."""
    model, opt, _ = train(steepest.DoG, 8, reps_rel=1e-2, point=Average())
    half, early, _ = train(steepest.DoG, 3, reps_rel=1e-2, point=Average())
    if how in ("pickle", "deepcopy"):
        pair = half, early
        half, early = copy.deepcopy(pair) if how == "deepcopy" else pickle.loads(pickle.dumps(pair))
    else:
        file = io.BytesIO()
        torch.save(early.state_dict(), file)
        file.seek(0)
        early = steepest.DoG(half.parameters(), reps_rel=1e-2, point=Average(),
                             codec="int8" if how == "codec" else "float32")  # fmt: skip
        early.load_state_dict(torch.load(file, weights_only=True))
    _, x, y = net()
    for _ in range(5):
        early.step(lambda: (half(x) - y).square().mean())
    assert same(weights(half), weights(model))
    assert same(seen(half, early), seen(model, opt))


def test_x_comes_back_whatever_happens() -> None:
    """Also when the block raises, and for weights that are shorter than the average."""
    model, opt, _ = train(steepest.SGD, point=Average())
    before = weights(model)
    with pytest.raises(ZeroDivisionError), opt.averaged():
        raise ZeroDivisionError
    assert same(weights(model), before)
    x = nn.Parameter(torch.ones(3, dtype=torch.bfloat16))
    short = steepest.SGD([x], lr=0.01, point=Average())
    for _ in range(3):
        short.step(lambda: x.square().sum())
    assert short.state[x]["average"].dtype is torch.float32
    kept = x.detach().clone()
    with short.averaged():
        assert not torch.equal(x, kept)
    assert torch.equal(x, kept)


@pytest.mark.parametrize("what", ["step", "state_dict", "load_state_dict", "averaged"])
def test_inside_the_block_nothing_is_trained_or_saved(what: str) -> None:
    """The weights are not those of the run there: a step or a checkpoint would lose them."""
    _, opt, _ = train(steepest.SGD, point=Average())
    calls = {"step": opt.step, "state_dict": opt.state_dict, "averaged": lambda: opt.averaged().__enter__(),
             "load_state_dict": partial(opt.load_state_dict, opt.state_dict())}  # fmt: skip
    with opt.averaged(), pytest.raises(RuntimeError, match="leave it before"):
        calls[what]()
    opt.step()


def test_a_method_without_an_average_says_so() -> None:
    with pytest.raises(TypeError, match="Average"), train(steepest.AdamW, 1)[1].averaged():
        pass
    with pytest.raises(TypeError, match="goes around a point"):
        Average(steepest.stepsize.DoG())  # type: ignore[arg-type]


def test_a_parameter_that_joins_late_is_averaged_from_then_on() -> None:
    """And one that never had a gradient is itself."""
    x, y, z = (nn.Parameter(torch.tensor([4.0])) for _ in range(3))
    opt = steepest.SGD([x, y, z], lr=0.5, point=Average(gamma=0))
    for moved in ([x], [x], [x, y]):
        opt.step(lambda moved=moved: sum((p * p).sum() for p in moved) / 2)  # type: ignore[misc]
    with opt.averaged():
        assert x.item() == pytest.approx((2 + 1 + 0.5) / 3)
        assert y.item() == 2.0
        assert z.item() == 4.0


def test_a_step_that_is_left_out_is_not_averaged() -> None:
    x = nn.Parameter(torch.tensor([4.0]))
    opt = steepest.SGD([x], lr=0.5, point=Average(gamma=0), nonfinite="skip")
    opt.step(lambda: (x * x).sum() / 2)
    with pytest.warns(UserWarning, match="skipped"):
        opt.step(lambda: (x * x).sum() * torch.nan)
    opt.step(lambda: (x * x).sum() / 2)
    with opt.averaged():
        assert x.item() == (2 + 1) / 2
