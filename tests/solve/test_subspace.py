"""Subspace optimization: what is friendly, what a step costs, and that the search is what it says."""

from __future__ import annotations

import copy
import io
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from steepest.solve import SubspaceOptimizer, is_so_friendly
from steepest.solve.newton import newton

MODES, BASES = ("line", "plane", "layerwise"), ("gd", "adam", "l-bfgs")


def data(n: int = 40, d: int = 25, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    X = torch.randn(n, d, generator=random, dtype=dtype)
    return X, torch.sin(X @ torch.randn(d, 2, generator=random, dtype=dtype) / 3)


def net(dtype: torch.dtype = torch.float64, d: int = 25) -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(d, 6), nn.Tanh(), nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 2)).to(dtype)


def weights(model: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in model.parameters()]


class Products(TorchDispatchMode):
    """Counts products of matrices of which one has d rows or columns and the other side n."""

    def __init__(self, n: int, d: int) -> None:
        super().__init__()
        self.sizes, self.count = {n, d}, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm, torch.ops.aten.bmm):
            self.count += any(isinstance(a, Tensor) and set(a.shape) == self.sizes for a in args)
        return func(*args, **(kwargs or {}))


# ---- structure -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (nn.Sequential(nn.Conv1d(3, 3, 1), nn.Linear(9, 1)), "begins with Conv1d"),
        (nn.Sequential(), "begins with nothing"),
        (nn.Sequential(nn.Linear(9, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)), "BatchNorm1d"),
        (nn.Sequential(nn.Linear(9, 4), nn.Dropout(), nn.Linear(4, 1)), "Dropout"),
        (nn.Sequential(nn.Linear(2, 40), nn.ReLU(), nn.Linear(40, 30)), "80 multiplications a row and the rest 1200"),
        (nn.TransformerEncoderLayer(8, 2), "begins with TransformerEncoderLayer"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else type(value).__name__,
)
def test_what_is_not_friendly(model: nn.Module, reason: str) -> None:
    answer = is_so_friendly(model)
    assert not answer
    assert reason in answer.reason
    with pytest.raises(ValueError, match="not friendly"):
        SubspaceOptimizer(model, torch.zeros(3, 9), torch.zeros(3, 1), F.mse_loss)


def test_shared_and_frozen_weights_and_a_loss_with_weights_are_not_friendly() -> None:
    a, b = nn.Linear(4, 4), nn.Linear(4, 4)
    b.weight = a.weight
    assert "share" in is_so_friendly(nn.Sequential(a, nn.Tanh(), b)).reason
    frozen = nn.Linear(4, 4)
    frozen.weight.requires_grad_(False)
    assert "frozen" in is_so_friendly(frozen).reason
    assert "loss" in is_so_friendly(nn.Linear(4, 1), nn.Linear(1, 1)).reason


@pytest.mark.parametrize(
    "model",
    [
        nn.Linear(3, 1),
        nn.Sequential(nn.Flatten(), nn.Linear(9, 4), nn.Sequential(nn.ReLU(), nn.Linear(4, 9))),
        nn.Sequential(nn.Linear(9, 2, bias=False), nn.Softplus(), nn.Linear(2, 2), nn.LogSoftmax(1)),
    ],
)
def test_what_is_friendly(model: nn.Module) -> None:
    assert is_so_friendly(model)


# ---- cost ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("base", BASES)
def test_a_step_costs_two_products(mode: str, base: str) -> None:
    """As seen from below, by whoever multiplies; the first step makes Z, too."""
    X, y = data()
    opt = SubspaceOptimizer(net(), X, y, F.mse_loss, base=base, mode=mode)
    with Products(40, 25) as seen:
        for _ in range(10):
            opt.step()
    assert seen.count == opt.products == 21
    assert opt.trials > 10


def test_products_are_made_anew_now_and_then() -> None:
    X, y = data()
    opt = SubspaceOptimizer(net(), X, y, F.mse_loss, refresh=5)
    opt.run(10)
    assert opt.products == 1 + 2 * 10 + 2 + 2  # at steps 5 and 10


# ---- search --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("base", BASES)
def test_the_loss_never_rises_and_is_the_models(mode: str, base: str, dtype: torch.dtype) -> None:
    X, y = data(dtype=dtype)
    model = net(dtype)
    opt = SubspaceOptimizer(model, X, y, F.mse_loss, base=base, mode=mode)
    eps = torch.finfo(dtype).eps
    losses = []
    for _ in range(15):
        with torch.no_grad():
            here = float(F.mse_loss(model(X), y))
        losses.append(opt.step())
        assert losses[-1] == pytest.approx(
            here, rel=3000 * eps
        )  # Z drifts by roundings of steps that are large beside it
    assert all(b <= a * (1 + 4 * eps) for a, b in pairwise(losses))
    assert losses[-1] < losses[0] / 2


def test_on_a_quadratic_plane_search_is_conjugate_gradients() -> None:
    """And a line search is steepest descent: both by hand."""
    X, _ = data()
    b = torch.randn(40, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    H, c = 2 * X.T @ X / 40, 2 * X.T @ b / 40
    for mode in ("plane", "line"):
        model = nn.Linear(25, 1, bias=False).double()
        nn.init.zeros_(model.weight)
        opt = SubspaceOptimizer(model, X, b, F.mse_loss, mode=mode)
        x = torch.zeros(25, 1, dtype=torch.float64)
        r = c.clone()
        p = r.clone()
        for _ in range(10):
            opt.step()
            x = x + (r.T @ r) / (p.T @ H @ p) * p
            new = c - H @ x
            p = new + (new.T @ new) / (r.T @ r) * p if mode == "plane" else new
            r = new
            assert torch.allclose(model.weight.detach().T, x, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_no_step_size_nearby_is_better(mode: str) -> None:
    """At the end of a step the loss is flat in every direction that was searched."""
    X, y = data()
    model = net()
    opt = SubspaceOptimizer(model, X, y, F.mse_loss, mode=mode)
    for _ in range(4):
        before = weights(model)
        gradient = torch.autograd.grad(F.mse_loss(model(X), y), list(model.parameters()))
        opt.step()
    after = torch.autograd.grad(F.mse_loss(model(X), y), list(model.parameters()))
    whole = sum(float((q * q).sum()) for q in gradient)
    pairs = [(0, 2), (2, 4), (4, 6)] if mode == "layerwise" else [(0, 6)]
    for low, high in pairs:
        slope = sum(float((g * q).sum()) for g, q in zip(after[low:high], gradient[low:high], strict=True))
        steep = sum(float((q * q).sum()) for q in gradient[low:high])
        assert abs(slope) < 0.05 * steep + 1e-6 * whole
    assert not all(torch.equal(a, b) for a, b in zip(weights(model), before, strict=True))


def test_newton_leaves_a_saddle_and_never_rises() -> None:
    """f = x² - y² + y⁴ from beside its saddle; the minima are at y² = ½."""
    f = lambda c: c[0] ** 2 - c[1] ** 2 + c[1] ** 4  # noqa: E731
    c, value = newton(f, [torch.tensor([1.0, 0.01], dtype=torch.float64)], most=50, tolerance=0.0)
    assert c.abs().tolist() == pytest.approx([0, 0.5**0.5], abs=1e-6)
    assert value == pytest.approx(-0.25)
    cliff = lambda c: torch.where(c[0] > 0.1, torch.inf, (c[0] - 1) ** 2)  # noqa: E731
    c, value = newton(cliff, [torch.zeros(1, dtype=torch.float64)], most=50, tolerance=1e-3)
    assert 0 < float(c) <= 0.1


# ---- life ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", BASES)
def test_resuming_goes_on_to_within_rounding(base: str) -> None:
    X, y = data()
    one, opt = net(), None
    opt = SubspaceOptimizer(one, X, y, F.mse_loss, base=base)
    opt.run(5)
    file = io.BytesIO()
    torch.save({"model": one.state_dict(), "opt": opt.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    two = net()
    two.load_state_dict(saved["model"])
    other = SubspaceOptimizer(two, X, y, F.mse_loss, base=base)
    other.load_state_dict(saved["opt"])
    for _ in range(3):
        opt.step()
        other.step()
    assert all(torch.allclose(a, b, rtol=1e-7, atol=1e-9) for a, b in zip(weights(one), weights(two), strict=True))


def test_weights_changed_by_hand_are_noticed() -> None:
    X, y = data()
    model = net()
    opt = SubspaceOptimizer(model, X, y, F.mse_loss)
    opt.run(3)
    with torch.no_grad():
        next(model.parameters()).mul_(0.5)
        here = float(F.mse_loss(model(X), y))
    assert opt.step() == pytest.approx(here, rel=1e-12)
    with torch.no_grad():
        there = float(F.mse_loss(model(X), y))
    assert there < here
    assert opt.step() == pytest.approx(there, rel=1e-12)


def test_images_are_flattened_and_classes_work() -> None:
    X, _ = data()
    model = nn.Sequential(nn.Flatten(), nn.Linear(25, 3)).double()
    y = (X[:, 0] > 0).long() + (X[:, 1] > 0).long()
    result = SubspaceOptimizer(model, X.view(40, 5, 5), y, F.cross_entropy, base="l-bfgs").run(60, goal=0.05)
    assert result.solved
    assert result.reason == "the loss is at the goal"
    assert "solved after" in str(result)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"mode": "sphere"}, "mode must be one of"),
        ({"base": "sgd"}, "base must be one of"),
        ({"refresh": 0}, "refresh must be an integer"),
        ({"y": torch.zeros(3, 2, dtype=torch.float64)}, "one target a row"),
        ({"X": torch.zeros(40, 24, dtype=torch.float64)}, "25 columns"),
        ({"X": torch.zeros(40, 25)}, "float64 table"),
    ],
    ids=lambda value: str(next(iter(value))) if isinstance(value, dict) else "",
)
def test_mistakes_are_named(wrong: dict[str, Any], words: str) -> None:
    X, y = data()
    with pytest.raises(ValueError, match=words):
        SubspaceOptimizer(net(), **{"X": X, "y": y, "loss": F.mse_loss, **wrong})


def test_a_loss_that_is_not_finite_changes_nothing() -> None:
    X, y = data()
    model = net()
    opt = SubspaceOptimizer(model, X, y, lambda out, target: F.mse_loss(out, target) * torch.nan)
    before = copy.deepcopy(weights(model))
    with pytest.raises(RuntimeError, match="nothing was changed"):
        opt.step()
    assert all(torch.equal(a, b) for a, b in zip(weights(model), before, strict=True))
    with pytest.raises(TypeError, match="without a closure"):
        opt.step(lambda: 0)  # type: ignore[arg-type]
