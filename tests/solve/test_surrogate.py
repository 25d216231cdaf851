"""Target-based surrogates against their equations, and where they are something else: GD on the loss, plain SGD, a bound."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

import steepest
from steepest.claims.stepsize import lavington2023_sso
from steepest.solve import SSO, Status
from steepest.solve.surrogate import Surrogate
from tests.laws.common import few

Vector = np.ndarray[Any, np.dtype[np.float64]]


def half_square(z: Tensor, y: Tensor) -> Tensor:
    return (z - y).square().sum() / (2 * len(z))


def logistic(z: Tensor, y: Tensor) -> Tensor:
    return F.softplus(-y * z).sum() / len(z)


def classes(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y.argmax(1))


#: losses with 1/L of a row
SMOOTH: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], float]] = {
    "half square": (half_square, 1.0), "logistic": (logistic, 4.0), "cross entropy": (classes, 2.0),
}  # fmt: skip


def data(seed: int, rows: int = 12, columns: int = 3) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 4, generator=random, dtype=torch.float64)
    return x, torch.sign(torch.randn(rows, columns, generator=random, dtype=torch.float64))


def net(seed: int, *more: nn.Module, columns: int = 3) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, 6), *more, nn.Tanh(), nn.Linear(6, columns)).double()


def weights(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def paper(
    X: Vector, y: Vector, theta: Vector, batches: list[slice], m: int, lr: float, eta: float, rule: str
) -> Vector:
    """The equations for a linear model, the logistic loss and gradient descent inside, in numpy."""
    squares = 0.0
    for t, rows in enumerate(batches, 1):
        A, n = X[rows], len(X[rows])
        z = A @ theta
        g = -y[rows] / (1 + np.exp(y[rows] * z)) / n
        squares += n * float(g @ g)
        eta_t = eta * {"constant": 1.0, "decay": 1 / math.sqrt(t), "adagrad": 1 / math.sqrt(squares)}[rule]
        for _ in range(m):
            theta = theta - lr * A.T @ (g + (A @ theta - z) / (eta_t * n))
    return theta


@pytest.mark.parametrize("rule", ["constant", "decay", "adagrad"])
@pytest.mark.parametrize("m", [1, 3, 10])
def test_the_equations(rule: str, m: int) -> None:
    (X, y), model = data(0, 20, 1), nn.Linear(4, 1, bias=False).double()
    start = weights(model).numpy().copy()
    batches = [slice(k, k + 5) for k in (0, 5, 10, 15)] * 3
    sso = SSO(model, logistic, eta=1.7, m=m, rule=rule, inner=lambda p: steepest.SGD(p, lr=0.3))
    for rows in batches:
        sso.step(X[rows], y[rows])
    known = paper(X.numpy(), y[:, 0].numpy(), start, batches, m, 0.3, 1.7, rule)
    assert np.allclose(weights(model).numpy(), known, rtol=1e-12, atol=1e-14)
    assert sso.counts == {"expensive": 12, "forwards": 12 * (m + 1), "backwards": 12 * m}


def test_by_hand() -> None:
    """f = 2θ, ℓ = (z - 3)²/2, θ = 1: g = -1.  With η = ½ the surrogate is -(2θ - 2) + (2θ - 2)²: inner steps of 1/16 go by
    2/16 and then by (2 - 8/8)/16.
    """
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.ones_(model.weight)
    sso = SSO(model, half_square, eta=0.5, m=2, inner=lambda p: torch.optim.SGD(p, lr=1 / 16))
    assert sso.step(torch.tensor([[2.0]]).double(), torch.tensor([[3.0]]).double()) == 0.5
    assert float(model.weight.detach()) == 1 + 2 / 16 + 1 / 16


@pytest.mark.parametrize("make", [lambda p: steepest.SGD(p, lr=0.2), lambda p: torch.optim.SGD(p, lr=0.2)])
@pytest.mark.parametrize("loss", [half_square, classes])
def test_one_inner_step_is_sgd(make: Callable[[Any], Any], loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    """On mini-batches, whatever η is."""
    (x, y), model = data(1), net(1)
    plain = copy.deepcopy(model)
    sso, opt = SSO(model, loss, eta=0.01, m=1, inner=make), torch.optim.SGD(plain.parameters(), lr=0.2)
    for k in range(9):
        rows = slice(4 * (k % 3), 4 * (k % 3) + 4)
        at_start = sso.step(x[rows], y[rows])
        opt.zero_grad()
        value = loss(plain(x[rows]), y[rows])
        value.backward()
        opt.step()
        assert at_start == pytest.approx(value.item(), rel=1e-12)
    assert torch.allclose(weights(model), weights(plain), rtol=1e-12, atol=1e-14)


def test_of_a_quadratic_the_surrogate_is_the_loss() -> None:
    """η = 1/L and ℓ = ½‖z - y‖²/n: m inner steps are m steps on the loss itself."""
    (x, y), model = data(2), net(2)
    plain = copy.deepcopy(model)
    SSO(model, half_square, eta=1.0, m=7, inner=lambda p: steepest.SGD(p, lr=0.1)).step(x, y)
    opt = steepest.SGD(plain.parameters(), lr=0.1)
    for _ in range(7):
        opt.step(lambda: half_square(plain(x), y))
    assert torch.allclose(weights(model), weights(plain), rtol=1e-12)


@pytest.mark.parametrize("name", SMOOTH)
@few
@given(seed=st.integers(0, 50), far=st.floats(0.01, 10))
def test_with_one_over_l_it_bounds_the_loss_from_above(name: str, seed: int, far: float) -> None:
    """At every point, and touches it where the step began."""
    loss, eta = SMOOTH[name]
    (x, y), model = data(seed), net(seed)
    sso = SSO(model, loss, eta=eta)
    surrogate = Surrogate(sso, x, (y,))
    assert surrogate().item() == pytest.approx(loss(model(x), y).item(), rel=1e-13)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(seed), dtype=p.dtype), alpha=far)
    assert surrogate().item() >= loss(model(x), y).item() * (1 - 1e-12)


def test_with_a_longer_step_it_does_not() -> None:
    """The bound is sharp for the quadratic: with η = 1.01 the surrogate is below it."""
    (x, y), model = data(0), net(0)
    surrogate = Surrogate(SSO(model, half_square, eta=1.01), x, (y,))
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(3)
    assert surrogate().item() < half_square(model(x), y).item()


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_full_batch_is_monotone(name: str, seed: int) -> None:
    loss, eta = SMOOTH[name]
    (x, y), model = data(seed), net(seed)
    result = SSO(model, loss, eta=eta, m=8).run([(x, y)], 30)
    losses = result.history["loss"]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.8 * losses[0]
    assert result.counts["expensive"] == 30 == result.steps
    assert not result.solved
    assert result.status is Status.BUDGET


INNER: dict[str, Callable[[Any], Any]] = {
    "Adam": lambda p: steepest.Adam(p, lr=0.02),
    "AdamW of torch": lambda p: torch.optim.AdamW(p, lr=0.02),
    "L-BFGS of torch": lambda p: torch.optim.LBFGS(p, line_search_fn="strong_wolfe", max_iter=3),
    "SAM": lambda p: steepest.SAM(p, lr=0.05, rho=0.01),
    "PoNoS": lambda p: steepest.PoNoS(p),
}


@pytest.mark.parametrize("name", INNER)
def test_any_optimizer_inside(name: str) -> None:
    (x, y), model = data(3), net(3)
    sso = SSO(model, classes, eta=2.0, m=5, inner=INNER[name])
    losses = [sso.step(x, y) for _ in range(12)]
    assert losses[-1] < 0.8 * losses[0]
    assert sso.counts["expensive"] == 12


def test_both_styles_of_closure_are_one() -> None:
    (x, y), model = data(3), net(3)
    other = copy.deepcopy(model)
    ours = SSO(model, classes, m=5, inner=lambda p: steepest.Adam(p, lr=0.02))
    torchs = SSO(other, classes, m=5, inner=lambda p: torch.optim.Adam(p, lr=0.02))
    for _ in range(4):
        assert ours.step(x, y) == pytest.approx(torchs.step(x, y), rel=1e-10)
    assert torch.allclose(weights(model), weights(other), rtol=1e-8)
    assert ours.counts == torchs.counts


def test_dropout_is_drawn_and_norms_count_once_a_step() -> None:
    """The surrogate is of one function: its value where it began is the loss, to the last digit, however often it is asked."""
    x, y = data(4)
    model = net(4, nn.BatchNorm1d(6), nn.Dropout(0.5))
    once = copy.deepcopy(model)
    torch.manual_seed(7)
    once(x)
    after = torch.rand(1)
    torch.manual_seed(7)
    sso = SSO(model, half_square, m=6)
    surrogate = Surrogate(sso, x, (y,))
    assert torch.equal(torch.rand(1), after)
    assert [surrogate().item() for _ in range(3)] == [surrogate.at_start] * 3
    torch.manual_seed(7)
    sso = SSO(copy.deepcopy(model), half_square, m=6)
    before = [b.clone() for b in sso.model.buffers()]
    sso.step(x, y)
    assert torch.equal(torch.rand(1), after)
    counted = [b for n, b in sso.model.named_buffers() if n.endswith("num_batches_tracked")]
    assert [int(b) for b in counted] == [int(b) + 1 for b in before if b.dtype is torch.long]


@pytest.mark.parametrize("rule", ["constant", "adagrad"])
def test_a_run_resumed_is_the_same(rule: str) -> None:
    x, y = data(5)

    def steps(sso: SSO, count: int) -> list[float]:
        return [sso.step(x, y) for _ in range(count)]

    whole = SSO(net(5), classes, m=4, rule=rule)
    losses = steps(whole, 6)
    first = SSO(net(5), classes, m=4, rule=rule)
    steps(first, 3)
    second = SSO(net(6), classes, m=4, rule=rule)
    second.model.load_state_dict(first.model.state_dict())
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert steps(second, 3) == losses[3:]
    assert second.counts == whole.counts


def test_a_bad_batch_changes_nothing() -> None:
    (x, y), model = data(6), net(6)
    sso, before = SSO(model, half_square), weights(model)
    for bad in (math.nan, math.inf):
        with pytest.raises(RuntimeError, match="leave this batch out"):
            sso.step(x, y * bad)
    assert torch.equal(weights(model), before)
    assert (sso.t, sso.squares, sso.counts["expensive"]) == (0, 0.0, 0)
    sso.step(x, model(x).detach())  # no gradient at all, the first that counts
    assert torch.equal(weights(model), before)
    assert sso.step(x, y) > sso.step(x, y)


@pytest.mark.parametrize(("wrong", "says"), [({"eta": 0.0}, "eta"), ({"eta": -1.0}, "eta"), ({"m": 0}, "at least 1"),
                                             ({"m": 1.5}, "integer"), ({"rule": "adam"}, "adagrad")])  # fmt: skip
def test_what_is_wrong_is_said(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        SSO(net(0), half_square, **wrong)


def test_what_the_model_and_the_loss_must_answer() -> None:
    x, y = data(0)
    with pytest.raises(TypeError, match="one number"):
        SSO(net(0), lambda z, y: z - y).step(x, y)
    with pytest.raises(TypeError, match="one tensor"):
        SSO(nn.LSTM(4, 3).double(), half_square).step(x, y)
    with pytest.raises(ValueError, match="at least one batch"):
        SSO(net(0), half_square).run([], 3)


def test_each_surrogate_is_searched_anew() -> None:
    """A step that rounding made tiny near the minimum of one surrogate says nothing about the next."""
    (X, y), ends = data(3, 20, 1), []
    for left in (None, 7e-12):
        model = net(0, columns=1)
        sso = SSO(model, logistic, eta=4.0, m=5)
        for _ in range(3):
            sso.step(X, y)
            for group in sso.inner.param_groups:
                group["eta_prev"] = left or group["eta_prev"]
        ends.append(weights(model))
    assert torch.equal(*ends)


@pytest.mark.slow
def test_float32_goes_where_float64_does() -> None:
    """To three digits, where searches that went on from rounded steps stood still at 0.2324."""
    ends = []
    for dtype in (torch.float32, torch.float64):
        x, y = (t.to(dtype) for t in lavington2023_sso.data("logistic", 0, 200))
        model = lavington2023_sso.model("logistic", 0).to(dtype)
        sso = SSO(model, lavington2023_sso.logistic, eta=4.0, m=400)
        ends.append([sso.step(x, y) for _ in range(40)][-1])
    assert ends[0] == pytest.approx(ends[1], rel=1e-3)
    assert ends[0] < 0.2305
