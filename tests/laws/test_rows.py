"""Laws of rows: a closure for every method, the same gradients at once and one by one, and what is refused."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import steepest
from steepest.core.evaluate import Evidence
from steepest.core.part import Oracle
from steepest.core.step import Run
from steepest.engine import shard

X = torch.randn(7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = torch.tensor([1.0, -1.0, 2.0, 0.0, 0.5, -2.0, 1.5], dtype=torch.float64)


class Each(Oracle):
    """The mean gradient from single ones, which are kept to be looked at."""

    needs = frozenset({"closure", "rows"})
    chunk = 256

    def __post_init__(self) -> None:
        self.seen: list[Tensor] = []

    def evaluate(self, run: Run) -> Evidence:
        rows, self.seen = run.rows, []

        def fold(losses: Tensor, g: list[Tensor]) -> list[Tensor]:
            self.seen.append(torch.cat([gi.flatten(1) for gi in g], 1))
            return [gi.sum(0) for gi in g]

        losses, sums = rows.summed(fold, self.chunk)
        for p, total in zip(rows.params, sums, strict=True):
            p.grad = (total / len(rows)).to(p.dtype)
        return Evidence(losses.mean())


class Weighted(Oracle):
    """Half of the rows with the smallest losses."""

    needs = frozenset({"closure", "rows"})

    def evaluate(self, run: Run) -> Evidence:
        return Evidence(run.rows.weighted(lambda losses: (losses <= losses.median()).to(losses.dtype) / 4))


def net(*layers: nn.Module) -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 5), *layers, nn.Tanh(), nn.Linear(5, 1)).double()


def of(model: Callable[[Tensor], Tensor], index: int | Tensor = 7) -> steepest.Rows:
    return steepest.Rows(lambda i: (model(X[i]).squeeze(1) - Y[i]).square(), index)


def alone(model: nn.Module, loss: Callable[[Tensor], Tensor]) -> Tensor:
    """Each row's gradient by a backward of its own, with plain torch."""
    return torch.stack([torch.cat([g.flatten() for g in torch.autograd.grad(loss(torch.tensor([i])).sum(),
                        [*model.parameters()])]) for i in range(7)])  # fmt: skip


@pytest.mark.parametrize("make", [steepest.AdamW, steepest.SAM, steepest.SLS, steepest.MeZO], ids=lambda m: m.__name__)
def test_rows_are_a_closure_for_every_method(make: Callable[..., steepest.Optimizer]) -> None:
    """To the bit what the mean as a plain closure is."""
    ends = []
    for plain in (False, True):
        model = net()
        opt = make(model.parameters())
        for _ in range(3):
            opt.step((lambda m=model: (m(X).squeeze(1) - Y).square().sum() / 7) if plain else of(model))
        ends.append(torch.cat([p.flatten() for p in model.parameters()]))
    assert torch.equal(*ends)


@pytest.mark.parametrize("chunk", [1, 3, 256])
def test_gradients_of_rows_are_those_of_torch(chunk: int) -> None:
    """In the order of the index; counted as one pass and as so many rows."""
    model, oracle = net(), Each()
    oracle.chunk = chunk
    opt = steepest.SGD(model.parameters(), lr=0.0, oracle=oracle)
    index = torch.tensor([4, 0, 2, 5])
    opt.step(of(model, index))
    assert torch.allclose(torch.cat(oracle.seen), alone(model, of(model).losses)[index], rtol=1e-12, atol=1e-14)
    assert [len(s) for s in oracle.seen] == {1: [1] * 4, 3: [3, 1], 256: [4]}[chunk]
    assert (opt.counters.forwards, opt.counters.backwards, opt.counters.rows) == (1, 1, 4)
    assert opt.metrics()["rows"] == 4


def held(model: nn.Module) -> Callable[[Tensor], Tensor]:
    weight = model[0].weight  # type: ignore[index]
    return lambda i: (model[1:](X[i] @ weight.T + model[0].bias).squeeze(1) - Y[i]).square()  # type: ignore[index]


def by_value(model: nn.Module) -> Callable[[Tensor], Tensor]:
    return lambda i: (model(X[[int(k) for k in i]]).squeeze(1) - Y[i]).square()


@pytest.mark.parametrize(("make", "reason"), [(held, "does not find in a module"), (by_value, "item")])
def test_rows_one_by_one_where_they_cannot_be_at_once(make: Callable[..., Callable[[Tensor], Tensor]],
                                                      reason: str) -> None:  # fmt: skip
    """The same gradients; the reason is said once, where the step is called."""
    model, oracle = net(), Each()
    opt = steepest.SGD(model.parameters(), lr=0.0, oracle=oracle)
    loss = make(model)
    with pytest.warns(UserWarning, match=reason) as said:
        opt.step(steepest.Rows(loss, 7))
    assert said[0].filename == __file__
    assert torch.allclose(torch.cat(oracle.seen), alone(model, loss), rtol=1e-12, atol=1e-14)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opt.step(steepest.Rows(loss, 7))
    assert (opt.counters.forwards, opt.counters.rows) == (2, 14)


def test_a_tensor_that_is_trained_elsewhere_is_no_obstacle() -> None:
    """It requires a gradient, but is none of ours."""
    model, other, oracle = net(), torch.tensor(2.0, requires_grad=True, dtype=torch.float64), Each()
    opt = steepest.SGD(model.parameters(), lr=0.0, oracle=oracle)
    opt.step(steepest.Rows(lambda i: other * (model(X[i]).squeeze(1) - Y[i]).square(), 7))
    assert torch.allclose(torch.cat(oracle.seen), 2 * alone(model, of(model).losses), rtol=1e-12, atol=1e-14)
    assert other.grad is None


def test_a_weight_that_the_loss_does_not_use_has_zeros() -> None:
    model, oracle = net(), Each()
    unused = nn.Parameter(torch.ones(2))
    frozen = nn.Parameter(torch.ones(2), requires_grad=False)
    opt = steepest.SGD([*model.parameters(), unused, frozen], lr=0.1, oracle=oracle)
    opt.step(of(model))
    assert unused.grad is not None and not unused.grad.any()
    assert frozen.grad is None


def test_modules_are_as_they_were_when_the_closure_raises() -> None:
    """Its own error is the one that is seen, and nothing has changed."""
    model = net()
    before = [*model.parameters()], [p.detach().clone() for p in model.parameters()]
    opt = steepest.SGD(model.parameters(), lr=0.1, oracle=Each())

    def losses(i: Tensor) -> Tensor:
        model(X[i])
        raise ZeroDivisionError("my own")

    with pytest.raises(ZeroDivisionError, match="my own"):
        opt.step(steepest.Rows(losses, 7))
    assert all(p is q for p, q in zip(model.parameters(), before[0], strict=True))
    assert all(map(torch.equal, model.parameters(), before[1]))
    assert opt.counters == steepest.Counters()
    opt.step(of(model))
    assert opt.counters.rows == 7


def test_dropout_is_the_same_in_every_question_and_different_in_every_row() -> None:
    model, oracle = net(nn.Dropout(0.5)), Each()
    x = torch.ones(7, 3, dtype=torch.float64)
    opt = steepest.SGD(model.parameters(), lr=0.0, oracle=oracle, point=steepest.point.ExtraGradient())
    answers: list[Tensor] = []
    oracle_evaluate = oracle.evaluate

    def watched(run: Run) -> Evidence:
        evidence = oracle_evaluate(run)
        answers.append(torch.cat(oracle.seen))
        return evidence

    oracle.evaluate = watched  # type: ignore[method-assign]
    opt.step(steepest.Rows(lambda i: model(x[i]).squeeze(1), 7))
    assert len(answers) == 2
    assert torch.equal(*answers)
    assert len({tuple(row.tolist()) for row in answers[0]}) > 1


def test_weighted_rows_are_one_forward_and_one_backward() -> None:
    model = net()
    opt = steepest.SGD(model.parameters(), lr=0.0, oracle=Weighted())
    loss = opt.step(of(model))
    each = of(model).losses(torch.arange(7))
    kept = each <= each.median()
    assert 0 < int(kept.sum()) < 7
    wanted = torch.autograd.grad(each[kept].sum() / 4, [*model.parameters()])
    assert float(loss) == pytest.approx(float(each[kept].detach().sum() / 4))
    assert all(
        p.grad is not None and torch.allclose(p.grad, g) for p, g in zip(model.parameters(), wanted, strict=True)
    )
    assert (opt.counters.forwards, opt.counters.backwards, opt.counters.rows) == (1, 1, 0)


def test_rows_under_autocast() -> None:
    """The closure sees the caller's autocast and is still known for rows."""
    torch.manual_seed(0)
    model, oracle, seen = nn.Linear(3, 1), Each(), []
    opt = steepest.SGD(model.parameters(), lr=0.0, oracle=oracle)

    def losses(i: Tensor) -> Tensor:
        out = model(X.float()[i]).squeeze(1)
        seen.append(out.dtype)
        return out.float().square()

    with torch.autocast("cpu", torch.bfloat16):
        opt.step(steepest.Rows(losses, 7))
    assert set(seen) == {torch.bfloat16}
    assert model.weight.grad is not None and model.weight.grad.dtype is torch.float32


def test_what_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a sentence, before anything has changed."""
    model = net()
    opt = steepest.SGD(model.parameters(), lr=0.1, oracle=Each())
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(TypeError, match=r"Each\(\) needs each row's loss: call step\(steepest.Rows"):
        opt.step(lambda: model(X).sum())
    with pytest.raises(RuntimeError, match="evaluates the loss itself"):
        opt.step()
    with pytest.raises(TypeError, match=r"one loss for each index, shape \(1,\), got shape \(\): .*reduction"):
        opt.step(steepest.Rows(lambda i: model(X[i]).sum(), 7))
    with pytest.raises(TypeError, match="losses must be a function of row indices, got int"):
        steepest.Rows(3, 7)  # type: ignore[arg-type]
    for bad in (torch.ones(3), torch.ones(2, 2, dtype=torch.long), torch.ones(3, dtype=torch.bool)):
        with pytest.raises(ValueError, match="index must be integers of shape"):
            steepest.Rows(lambda i: i, bad)
    mixing = net(nn.BatchNorm1d(5))
    with pytest.raises(RuntimeError, match="BatchNorm1d in training mode, whose statistics mix the rows"):
        steepest.SGD(mixing.parameters(), lr=0.1, oracle=Each()).step(of(mixing))
    mixing.eval()
    steepest.SGD(mixing.parameters(), lr=0.0, oracle=Each()).step(of(mixing))
    monkeypatch.setattr(shard, "processes", lambda: 2)
    with pytest.raises(RuntimeError, match="one process"):
        opt.step(of(model))
    assert all(map(torch.equal, model.parameters(), before))
