"""A loss over parameters: exact products, and a model that does not know it was asked."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from steepest.landscape import Loss, hutchinson_trace, sam_sharpness, top_eigenvalues
from tests.landscape.dense import (
    MODELS,
    X,
    Y,
    build,
    columns,
    cross_entropy,
    dense_ggn,
    dense_hessian,
    differenced,
)


@pytest.mark.parametrize("name", MODELS)
def test_hessian_products_are_exact(name: str) -> None:
    """Against the Hessian written down whole, in float64; to the precision of differences where that is one."""
    model = build(name)
    H = dense_hessian(model)
    found = columns(cross_entropy(model).hessian(), len(H))
    assert torch.allclose(found, H, rtol=1e-10, atol=1e-6 if name in ("norm", "attention") else 1e-12)
    assert torch.allclose(found, found.T, atol=1e-12)


@pytest.mark.xfail(strict=True, reason="torch 2.13: second derivatives of normalisation are wrong under torch.func")
def test_torch_func_differentiates_normalisation_twice() -> None:
    """Why products here are made by torch.autograd twice, which agrees with differences, and not by torch.func."""
    x, v = X[:, :3], torch.linspace(-1, 1, 9, dtype=torch.float64)

    def f(v: Tensor) -> Tensor:
        scale, weight, bias = v.split(3)
        return F.layer_norm(x * scale, (3,), weight, bias).pow(3).sum()

    ours = columns(Loss(v, f).hessian(), 9)
    assert torch.allclose(ours, differenced(lambda v: Loss(v, f).gradient())(v), rtol=1e-4, atol=1e-4)
    theirs = torch.func.jacrev(torch.func.jacrev(f))(v)
    assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_gauss_newton_products_are_exact(name: str) -> None:
    """Against JᵀHJ written down whole; it has no negative eigenvalue."""
    model = build(name)
    G = dense_ggn(copy.deepcopy(model))
    found = columns(cross_entropy(model).ggn(), len(G))
    assert torch.allclose(found, G, rtol=1e-10, atol=1e-12)
    assert float(torch.linalg.eigvalsh(found)[0]) > -1e-12


def test_gauss_newton_is_the_hessian_of_a_linear_model() -> None:
    f = cross_entropy(build("linear"))
    assert torch.allclose(columns(f.ggn(), f.size), columns(f.hessian(), f.size), atol=1e-13)


def test_products_are_linear() -> None:
    f = cross_entropy(build("tanh"))
    A, g = f.hessian(), torch.Generator().manual_seed(0)
    u, v = A.random(g), A.random(g)
    assert torch.allclose(A(2 * u - 3 * v), 2 * A(u) - 3 * A(v), atol=1e-12)
    assert not A(torch.zeros(f.size, dtype=torch.float64)).any()


def test_gradient_and_value_at_a_shift() -> None:
    """Moving the question is moving the weights."""
    model = build("tanh")
    f, d = cross_entropy(model), 0.1 * torch.ones(sum(p.numel() for p in model.parameters()), dtype=torch.float64)
    moved = copy.deepcopy(model)
    with torch.no_grad():
        for p in moved.parameters():
            p.add_(0.1)
    there = cross_entropy(moved)
    assert f.value(d) == pytest.approx(there.value(), rel=1e-14)
    assert torch.allclose(f.gradient(d), there.gradient(), rtol=1e-12)


class Everything(nn.Module):
    """Dropout, batch normalisation, a buffer that counts, a frozen layer."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Dropout(0.5), nn.Linear(6, 3))
        self.net[0].bias.requires_grad_(False)
        self.asked: Tensor
        self.register_buffer("asked", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.asked.add_(1)
        out: Tensor = self.net(x)
        return out


def everything(training: bool = True) -> nn.Module:
    torch.manual_seed(3)
    return Everything().double().train(training)


def remembered(model: nn.Module) -> dict[str, Any]:
    return {n: t.clone() for n, t in model.state_dict().items()} | {"random": torch.get_rng_state()}


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_alone(training: bool) -> None:
    """Weights, buffers, gradients, mode, random state: all as before, to the bit."""
    model = everything(training)
    F.cross_entropy(model(X), Y).backward()
    before, grads = remembered(model), [p.grad for p in model.parameters()]
    values = [None if g is None else g.clone() for g in grads]
    f = Loss(model, lambda: model(X), head=lambda z: F.cross_entropy(z, Y))
    top_eigenvalues(f, k=2)
    top_eigenvalues(f.ggn())
    hutchinson_trace(f)
    sam_sharpness(f)
    with pytest.raises(ZeroDivisionError):
        Loss(model, lambda: model(X).sum() / (1 // 0)).value()
    after = remembered(model)
    assert all(torch.equal(before[k], after[k]) for k in before)
    assert all(p.grad is g for p, g in zip(model.parameters(), grads, strict=True))
    assert all(g is None or torch.equal(g, v) for g, v in zip(grads, values, strict=True))  # type: ignore[arg-type]
    assert all(m.training is training for m in model.modules())


def test_dropout_is_replayed() -> None:
    """One function, however often it is asked, and not the function of evaluation mode."""
    model = everything()
    f = Loss(model, lambda: F.cross_entropy(model(X), Y))
    first = f.value()
    torch.rand(7)
    assert f.value() == first
    A, B = f.hessian(), f.hessian()
    v = A.random(torch.Generator().manual_seed(0))
    assert torch.equal(A(v), B(v))
    h, there = 1e-5, f.gradient(1e-5 * v)
    assert torch.allclose((there - f.gradient(-h * v)) / (2 * h), A(v), rtol=1e-5, atol=1e-8)
    assert Loss(model.eval(), lambda: F.cross_entropy(model(X), Y)).value() != first


def test_batches_are_a_mean() -> None:
    """Of losses, gradients and both matrices; each batch has random numbers of its own, the same in every question."""
    model = build("tanh")
    whole = cross_entropy(model)
    rows = [(X[i : i + 4], Y[i : i + 4]) for i in (0, 4, 8)]
    parts = Loss(model, lambda x, y: model(x), head=lambda z, x, y: F.cross_entropy(z, y), batches=rows)
    assert parts.value() == pytest.approx(whole.value(), rel=1e-14)
    assert torch.allclose(parts.gradient(), whole.gradient(), atol=1e-14)
    assert torch.allclose(columns(parts.hessian(), parts.size), columns(whole.hessian(), whole.size), atol=1e-13)
    assert torch.allclose(columns(parts.ggn(), parts.size), columns(whole.ggn(), whole.size), atol=1e-13)
    noisy = Loss(everything(), lambda x: x.sum() * 0 + torch.rand(()) + torch.rand(()), batches=[(X,), (X,)])
    with pytest.raises(TypeError, match="does not depend"):
        noisy.gradient()
    model = everything()
    f = Loss(model, lambda x, y: F.cross_entropy(model(x), y), batches=[(X, Y), (X, Y)])
    losses = [value for value, _ in f.gradients()]
    assert losses[0] != losses[1]
    assert sum(losses) / 2 == f.value()
    A, v = f.hessian(), torch.ones(f.size, dtype=torch.float64)
    h = 1e-5
    assert torch.allclose((f.gradient(h * v) - f.gradient(-h * v)) / (2 * h), A(v), rtol=1e-5, atol=1e-8)


def test_costs_are_counted() -> None:
    """One forward and one backward for the graph, one product each; of batches, a graph for every product."""
    model = build("tanh")
    f = cross_entropy(model)
    A = f.hessian()
    for _ in range(3):
        A(torch.ones(f.size, dtype=torch.float64))
    assert (f.counters.forwards, f.counters.backwards, f.counters.hvps) == (1, 1, 3)
    f.value()
    f.gradient()
    assert (f.counters.forwards, f.counters.backwards, f.counters.hvps) == (3, 2, 3)
    two = Loss(model, lambda x, y: F.cross_entropy(model(x), y), batches=[(X, Y)] * 2)
    B = two.hessian()
    B(torch.ones(f.size, dtype=torch.float64))
    B(torch.ones(f.size, dtype=torch.float64))
    assert (two.counters.forwards, two.counters.backwards, two.counters.hvps) == (4, 4, 4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_other_types(dtype: torch.dtype) -> None:
    """Vectors are float32; the answer is as good as the type."""
    exact = top_eigenvalues(cross_entropy(build("tanh"))).values[0]
    model = build("tanh").to(dtype)
    f = Loss(model, lambda: F.cross_entropy(model(X.to(dtype)).float(), Y))
    found = top_eigenvalues(f, tol=1e-3 if dtype is torch.float32 else 0.03)
    assert found.vectors.dtype is torch.float32
    assert found.values[0] == pytest.approx(exact, rel=1e-4 if dtype is torch.float32 else 0.05)


def test_a_recurrent_network() -> None:
    torch.manual_seed(0)
    net = nn.GRU(4, 3, batch_first=True).double()
    f = Loss(net, lambda: net(X.view(3, 4, 4))[0].square().mean())
    H = columns(f.hessian(), f.size)
    assert torch.allclose(H, H.T, atol=1e-13)


def test_several_tensors() -> None:
    """Plain tensors need not require gradients; the closure takes them, then the batch."""
    a, b = torch.tensor([1.0, 2.0]), torch.tensor([[3.0]])
    f = Loss([a, b], lambda x, y, k: k * (x.square().sum() * y).sum(), batches=[(1.0,), (3.0,)])
    assert f.gradient().tolist() == [12.0, 24.0, 10.0]
    assert columns(f.hessian(), 3).tolist() == [[12.0, 0.0, 4.0], [0.0, 12.0, 8.0], [4.0, 8.0, 0.0]]


def test_a_flat_loss_has_no_curvature() -> None:
    f = Loss(torch.ones(3, dtype=torch.float64), lambda x: x.sum())
    assert not columns(f.hessian(), 3).any()
    assert top_eigenvalues(f).values == (0.0,)


def wrong(what: str) -> Any:
    """A question that cannot be answered."""
    model = build("tanh")
    captured = list(model.parameters())
    x = torch.ones(2, requires_grad=True)
    return {
        "twice": lambda: Loss(model, lambda: F.cross_entropy(model(X), Y).backward()).gradient(),
        "backward": lambda: Loss(model, lambda: backwards(model)).gradient(),
        "captured": lambda: Loss(model, lambda: model(X).sum() + sum(p.square().sum() for p in captured)).gradient(),
        "captured tensor": lambda: Loss(x, lambda _: x.sum()).gradient(),
        "no gradient": lambda: Loss(model, lambda: model(X).sum().detach()).gradient(),
        "vector": lambda: Loss(model, lambda: model(X)).value(),
        "nan": lambda: Loss(model, lambda: model(X).sum() * float("nan")).value(),
        "frozen": lambda: Loss(model.requires_grad_(False), lambda: model(X).sum()),
        "integers": lambda: Loss(torch.ones(2, dtype=torch.long), lambda x: x.sum()),
        "no closure": lambda: Loss(model, model(X).sum()),
        "no batch": lambda: Loss(model, lambda: model(X).sum(), batches=[]),
        "no head": lambda: Loss(model, lambda: model(X).sum()).ggn(),
        "size": lambda: Loss(x, lambda x: x.sum()).hessian()(torch.ones(3)),
        "once": lambda: top_eigenvalues(Loss(x, lambda x: Once.apply(x).sum())),
        "kink": lambda: top_eigenvalues(Loss(torch.zeros(2), lambda x: x.sqrt().sum() + 1)),
    }[what]


def backwards(model: nn.Module) -> Tensor:
    loss = F.cross_entropy(model(X), Y)
    loss.backward()
    return loss


class Once(torch.autograd.Function):
    """A backward that cannot be differentiated."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return 2 * ctx.saved_tensors[0] * g


@pytest.mark.parametrize(
    ("what", "error", "says"),
    [
        ("twice", TypeError, "scalar tensor"),
        ("backward", TypeError, "only compute and return the loss"),
        ("captured", TypeError, "by a name of its own.*the model inside the closure"),
        ("captured tensor", TypeError, "the arguments of the closure"),
        ("no gradient", TypeError, "does not depend"),
        ("vector", TypeError, "scalar tensor"),
        ("nan", ValueError, "the loss is nan here"),
        ("frozen", TypeError, "requires_grad_"),
        ("integers", TypeError, "torch.int64"),
        ("no closure", TypeError, "must be a function"),
        ("no batch", ValueError, "batches is empty"),
        ("no head", TypeError, "head=lambda z"),
        ("size", ValueError, r"2 numbers is meant, got the shape \(3,\)"),
        ("once", RuntimeError, "cannot be differentiated twice"),
        ("kink", ValueError, "not finite"),
    ],
)
def test_errors_say_the_mend(what: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        wrong(what)()
