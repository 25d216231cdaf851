"""The rows of the solvers' contract: how each is run on a handful of unknowns. A solver without a row is an error."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import steepest
from steepest import solve as S
from steepest.solve import inner

N, D = 8, 5


@dataclass(frozen=True)
class Form:
    """How the unknowns look to the user."""

    wrap: Callable[[Tensor], Any]
    flat: Callable[[Any], Tensor]


FLAT = Form(lambda v: v, lambda x: x)
TREE = Form(
    lambda v: {"a": v[:2].view(2, 1), "b": (v[2:3].view(()), [v[3:]])},
    lambda x: torch.cat([x["a"].reshape(-1), x["b"][0].reshape(1), x["b"][1][0]]),
)


@dataclass(frozen=True)
class Row:
    """A solver, a problem for it, and both such that NaN appears after the first step.

    Args:
        make: the solver.
        problem: of dtype and form.
        bad: a problem (or solver and problem) that leaves the finite numbers.
        trees: False where the unknown is a vector by definition.
        goal: what the numbers reach after ``steps`` in float64.
        run: the driver; another one in the tests of the contract itself.
    """

    make: Callable[..., Any]
    problem: Callable[[torch.dtype, Form], S.Problem]
    bad: Callable[[], tuple[Any, S.Problem]]
    goal: dict[str, float]
    steps: int = 300
    trees: bool = True
    run: Callable[..., S.Result] = S.solve


def data(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    A = torch.randn(N, D, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return A.to(dtype), (A[:, 0] + 0.3 * A[:, 1]).sign().to(dtype)


def losses(v: Tensor, i: Tensor | None = None) -> Tensor:
    """Logistic losses of rows, with a square added."""
    A, y = data(v.dtype)
    A, y = (A, y) if i is None else (A[i], y[i])
    return F.softplus(-y * (A @ v)) + 0.05 * v.square().sum()


def x0(dtype: torch.dtype) -> Tensor:
    return torch.linspace(0.5, -0.3, D, dtype=dtype)


def spoiled(f: Callable[[Any], Tensor]) -> Callable[[Any], Tensor]:
    """The same at the start, and NaN everywhere else."""
    return lambda v: f(v) + torch.where((v - x0(v.dtype)).abs().sum() > 0, torch.nan, 0.0) * v.sum()


def mean(v: Tensor) -> Tensor:
    return losses(v).mean()


def smooth(dtype: torch.dtype, form: Form = FLAT, f: Callable[[Tensor], Tensor] = mean) -> S.Problem:
    return S.Smooth(lambda x: f(form.flat(x)), form.wrap(x0(dtype)))


def lasso(dtype: torch.dtype, form: Form = FLAT, f: Callable[[Tensor], Tensor] = mean) -> S.Problem:
    def prox(x: Any, step: float) -> Any:
        return form.wrap(inner.soft_threshold(form.flat(x), 0.1 * step))

    return S.Composite(lambda x: f(form.flat(x)), lambda x: 0.1 * form.flat(x).abs().sum(), prox, form.wrap(x0(dtype)))


def ball(dtype: torch.dtype, form: Form = FLAT, f: Callable[[Tensor], Tensor] = mean) -> S.Problem:
    return S.Constrained(
        lambda x: f(form.flat(x)),
        form.wrap(x0(dtype) * 0 + 0.1 if f is mean else x0(dtype)),
        project=lambda x: form.wrap(inner.l1_ball(form.flat(x), 1.5)),
        lmo=lambda g: form.wrap(inner.lmo_l1(form.flat(g), 1.5)),
    )


def rows(dtype: torch.dtype, form: Form = FLAT, f: Callable[..., Tensor] = losses) -> S.Problem:
    return S.FiniteSum(lambda x, i: f(form.flat(x), i), form.wrap(x0(dtype)), N)


def game(dtype: torch.dtype, form: Form = FLAT, spoil: bool = False) -> S.Problem:
    def f(x: Any, y: Any) -> Tensor:
        u, v = form.flat(x), form.flat(y)
        A = data(u.dtype)[0][:D]
        value = u @ A @ v + (u - 1).square().sum() / 8 - v.square().sum() / 8
        return value + torch.where((u - x0(u.dtype)).abs().sum() > 0, torch.nan, 0.0) * u.sum() if spoil else value

    return S.Saddle(f, form.wrap(x0(dtype)), form.wrap(-x0(dtype)))


def rotation(dtype: torch.dtype, form: Form = FLAT, f: Callable[..., Tensor] | None = None) -> S.Problem:
    """Strongly monotone and not symmetric, as a mean over N samples; without n where it is spoiled by f."""
    A, y = data(dtype)
    turn = torch.triu(torch.ones(D, D, dtype=dtype), 1)

    def value(z: Any, i: Tensor | None = None) -> Any:
        v = form.flat(z)
        rows, b = (A, y) if i is None else (A[i], y[i])
        there = rows.T @ (rows @ v - b) / len(rows) + 0.3 * (turn - turn.T) @ v + v
        return form.wrap(there if f is None else there + spoiled(lambda v: v.sum() * 0)(v))

    return S.VariationalInequality((lambda z: value(z)) if f else value, form.wrap(x0(dtype)), n=None if f else N)


def margins(dtype: torch.dtype, form: Form = FLAT) -> S.Problem:
    A = torch.randn(60, D, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return S.Margins(A.to(dtype), (A[:, 0] + 0.3 * A[:, 1]).sign().to(dtype))


def huge(solver: Any, last: float = 0.0) -> Callable[[], tuple[Any, S.Problem]]:
    """Rows whose weighted sum overflows."""
    A = torch.tensor([[3e38, 1.0], [3e38, -1.0], [-3e38, 0.0], [3e38, last], [3e38, -last]])
    return lambda: (solver, S.Margins(A, torch.ones(5), torch.tensor([-1.0, 1.0 if last == 0 else 2.0])))


def _row(make: Callable[..., Any], problem: Any, goal: dict[str, float], **more: Any) -> Row:
    f = spoiled(mean)
    if problem is rows:
        f = lambda v, i: losses(v, i) + spoiled(lambda v: v.sum() * 0)(v)  # type: ignore[assignment, misc]  # noqa: E731
    spoilt: Any = (lambda: (make(), game(torch.float64, spoil=True))) if problem is game else (
        lambda: (make(), problem(torch.float64, f=f)))  # fmt: skip
    return Row(make, problem, more.pop("bad", spoilt), goal, **more)


def samples(dtype: torch.dtype, form: Form = FLAT, f: Callable[[Tensor], Tensor] | None = None) -> S.Problem:
    A = data(dtype)[0]

    def c(x: Any, i: int) -> Tensor:
        v = form.flat(x)
        value = A[i] @ v - A[i].sum()
        return value if f is None else value + spoiled(lambda v: v.sum() * 0)(v)

    return S.ConvexComposite(c, form.wrap(x0(dtype)), range(D - 1))


def adam(params: Any) -> torch.optim.Optimizer:
    return steepest.Adam(params, lr=0.1)


def adam_of_torch(params: Any) -> torch.optim.Optimizer:
    return torch.optim.Adam(params, lr=0.1, foreach=False)


def extra(params: Any) -> torch.optim.Optimizer:
    return steepest.ExtraSGD(params, lr=0.2)


def net(dtype: torch.dtype) -> nn.Module:
    model = nn.Sequential(nn.Linear(D, 3), nn.Tanh(), nn.Linear(3, 1, bias=False)).to(dtype)
    with torch.no_grad():
        for k, p in enumerate(model.parameters()):
            p.copy_(torch.linspace(-0.5, 0.7, p.numel(), dtype=dtype).view(p.shape) * (k + 1))
    return model


def square_error(spoil: bool, dtype: torch.dtype) -> Callable[[Tensor, Tensor], Tensor]:
    """Half a mean square; or the same for the outputs at the start only, and NaN for all others."""
    first = net(dtype)(data(dtype)[0]).detach()

    def loss(out: Tensor, y: Tensor) -> Tensor:
        value = (out[:, 0] - y).square().mean() / 2
        return value + torch.where((out - first).abs().sum() > 1e-9, torch.nan, 0.0) * out.sum() if spoil else value

    return loss


def targets(dtype: torch.dtype, form: Form = FLAT, f: Any = None) -> S.Problem:
    A, y = data(dtype)
    return S.Targets(net(dtype), square_error(f is not None, dtype), [(A, y)])


def network(dtype: torch.dtype, form: Form = FLAT, f: Any = None) -> S.Problem:
    return S.Network(
        net(dtype), *data(dtype), square_error(False, dtype) if f is None else lambda out, y: out.sum() * torch.nan
    )


def black_box(dtype: torch.dtype, form: Form = FLAT, f: Callable[[Tensor], Tensor] | None = None) -> S.Problem:
    return S.BlackBox(lambda x: math.nan if f else float((form.flat(x) - 1).square().sum()), form.wrap(x0(dtype)))


TABLE: dict[str, Row] = {
    "GradientDescent": _row(S.GradientDescent, smooth, {"residual": 1e-5}),
    "GradientDescent, fixed": _row(lambda: S.GradientDescent(lr=0.5), smooth, {"residual": 1e-3}),
    "LBFGS": _row(lambda: S.LBFGS(memory=3), smooth, {"residual": 1e-6}, steps=60),
    "NewtonCG": _row(S.NewtonCG, smooth, {"residual": 1e-6}, steps=30),
    "ProximalGradient": _row(S.ProximalGradient, lasso, {"residual": 1e-5}),
    "ProximalGradient, fixed": _row(lambda: S.ProximalGradient(lr=0.5), lasso, {"residual": 1e-4}),
    "ProximalGradient, set": _row(S.ProximalGradient, ball, {"residual": 1e-5}),
    "FISTA": _row(S.FISTA, lasso, {"residual": 1e-5}),
    "FISTA, smooth": _row(S.FISTA, smooth, {"residual": 1e-5}),
    "FrankWolfe": _row(S.FrankWolfe, ball, {"gap": 2e-2}),
    "FrankWolfe, short": _row(lambda: S.FrankWolfe(L=1.0), ball, {"gap": 2e-2}),
    "Extragradient": _row(S.Extragradient, game, {"residual": 1e-5}),
    "Extragradient, fixed": _row(lambda: S.Extragradient(lr=0.2), game, {"residual": 1e-5}),
    "Extragradient, ahead": _row(lambda: S.Extragradient(lr=0.2, ahead=1.5), game, {"residual": 1e-5}),
    "Extragradient, operator": _row(S.Extragradient, rotation, {"residual": 1e-5}),
    "SingleCall": _row(lambda: S.SingleCall(lr=0.1), game, {"residual": 1e-5}, steps=600),
    "SingleCall, batch": _row(lambda: S.SingleCall(lr=1.0, batch=3, offset=3.0), rotation, {"residual": 0.2},
                              bad=lambda: (S.SingleCall(lr=1.0), rotation(torch.float64, f=mean))),
    "SingleCall, optimistic": _row(lambda: S.SingleCall(lr=0.1, scheme="optimistic"), game, {"residual": 1e-5}, steps=600),
    "SingleCall, reflected": _row(lambda: S.SingleCall(lr=0.1, scheme="reflected"), game, {"residual": 1e-5}, steps=600),
    "ProximalPoint": _row(lambda: S.ProximalPoint(lr=1.0), game, {"residual": 1e-5}),
    "OGPlus": _row(lambda: S.OGPlus(lr=0.05, batch=6), rotation, {"residual": 0.2},
                   bad=lambda: (S.OGPlus(lr=0.05), rotation(torch.float64, f=mean))),
    "OptDAPlus": _row(lambda: S.OptDAPlus(lr=0.05, ahead=2.0), rotation, {"residual": 1e-4}, steps=600),
    "AdaOptDAPlus": _row(S.AdaOptDAPlus, game, {"residual": 0.1}, steps=600),
    "CompetitiveGradient": _row(lambda: S.CompetitiveGradient(lr=0.2), game, {"residual": 1e-5}),
    "CompetitiveGradient, optimistic": _row(lambda: S.CompetitiveGradient(lr=0.1, optimistic=True), game, {"residual": 1e-5},
                                            steps=600),
    "Halpern": _row(lambda: S.Halpern(lr=0.1), rotation, {"residual": 0.05}),
    "Halpern, variance reduced": _row(lambda: S.Halpern(lr=0.1, variance_reduced=True), rotation, {"residual": 0.1},
                                      bad=lambda: (S.Halpern(lr=0.1), rotation(torch.float64, f=mean))),
    "SVRG": _row(lambda: S.SVRG(lr=0.3, batch=2, period=7), rows, {"residual": 1e-2}),
    "Optimizer": _row(lambda: S.Optimizer(adam), smooth, {"residual": 1e-3}),
    "Optimizer, torch": _row(lambda: S.Optimizer(adam_of_torch), smooth, {"residual": 1e-3}),
    "Optimizer, batch": _row(lambda: S.Optimizer(adam, batch=4), rows, {"residual": 0.2}),
    "Optimizer, game": _row(lambda: S.Optimizer(extra), game, {"residual": 1e-5}),
    "TargetSurrogate": _row(S.TargetSurrogate, targets, {"loss": 0.02}, trees=False),
    "TargetSurrogate, Adam": _row(lambda: S.TargetSurrogate(m=3, inner=adam, rule="decay"), targets, {"loss": 0.02},
                                  trees=False),
    "SubspaceSearch": _row(S.SubspaceSearch, network, {"loss": 0.02}, trees=False),
    "SubspaceSearch, layers": _row(lambda: S.SubspaceSearch("l-bfgs", "layerwise", refresh=7), network, {"loss": 0.02},
                                   trees=False),
    "RankDescent": _row(lambda: S.RankDescent(lr=0.2, mu=0.05, m=8, k=4), black_box, {"best": 0.1}),
    "ModelBased": _row(lambda: S.ModelBased(beta=2.0), samples, {"loss": 1e-6}),
    "ModelBased, point": _row(lambda: S.ModelBased(beta=2.0, model="prox-point"), samples, {"loss": 1e-6}),
    "LogisticGD": _row(lambda: S.LogisticGD(3.0), margins, {"wrong": 0}, trees=False,
                       bad=huge(S.LogisticGD(1e38))),
    "NormalizedLogisticGD": _row(lambda: S.NormalizedLogisticGD(3.0), margins, {"wrong": 0}, trees=False,
                                 bad=huge(S.NormalizedLogisticGD(1e38))),
    "BatchPerceptron": _row(S.BatchPerceptron, margins, {"wrong": 0}, trees=False, bad=huge(S.BatchPerceptron(), -3e38)),
}  # fmt: skip
