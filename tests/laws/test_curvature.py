"""Laws of points that ask for second derivatives: exact, counted, and refused where they would be wrong."""

from __future__ import annotations

import io

import pytest
import torch
from torch import Tensor, nn

import steepest
from steepest import point
from tests.laws.common import tensor
from tests.laws.test_flatness import X, curved, descended, penalised


def test_backpropagating_twice_is_exact_and_counted() -> None:
    """Also where a part of the loss is linear, a parameter is not used, and a player maximizes."""
    assert torch.allclose(
        descended(point.GradientPenalty(strength=0.5, side="exact"), X), penalised(X, 0.5), rtol=1e-13
    )
    p, q, unused = (nn.Parameter(tensor([v])) for v in (2.0, 3.0, 1.0))
    groups = [{"params": [p, unused]}, {"params": [q], "maximize": True, "strength": 0.5}]
    opt = steepest.Optimizer(groups, lr=1.0, point=point.GradientPenalty(strength=0.25, side="exact"))
    loss = opt.step(lambda: (p * p * q).sum())
    assert float(loss) == 12.0 and unused.item() == 1.0 and unused.grad is None
    g, H = tensor([12.0, -4.0]), tensor([[6.0, 4.0], [4.0, 0.0]])  # the ascending player's gradient is negated
    want = g + tensor([0.25, -0.5]) * (H @ g)
    assert torch.allclose(tensor([2.0, 3.0]) - torch.cat([p, q]).detach(), want, rtol=1e-13)
    counted = opt.counters
    assert (counted.forwards, counted.backwards, counted.hvps, counted.gradient_equivalents) == (1, 1, 1, 7)


def test_second_derivatives_say_what_they_need() -> None:
    """A closure that calls backward itself is refused, and nothing moves."""
    p = nn.Parameter(X.clone())
    opt = steepest.FGR([p], side="exact")

    def closure() -> Tensor:
        opt.zero_grad()
        loss = curved(p)
        loss.backward()
        return loss

    with pytest.raises(RuntimeError, match="only compute and return the loss"):
        opt.step(closure)
    assert torch.equal(p.detach(), X) and not opt.state
    flat = steepest.FGR([p], side="exact", momentum=0.0, lr=1.0)
    flat.step(lambda: p.sum())  # no curvature at all
    assert torch.allclose(p.detach(), X - 1)


def test_random_signs_estimate_the_diagonal_of_the_hessian() -> None:
    """z ⊙ Hz by hand for each z, its mean over many steps, a player that maximizes, and a copy that goes on alike."""
    H = tensor([[4.0, 1.0], [1.0, -2.0]])
    p, q = nn.Parameter(tensor([0.3])), nn.Parameter(tensor([-0.7]))

    def closure() -> Tensor:
        x = torch.cat([p, q])
        return x @ H @ x / 2

    groups = [{"params": [p]}, {"params": [q], "maximize": True}]
    opt = steepest.Optimizer(groups, lr=0.0, direction=steepest.direction.DiagonalHessian(), point=point.Hutchinson())
    seen = []
    for _ in range(400):
        opt.step(closure)
        seen.append((float(opt.state[p]["probe"]), float(opt.state[q]["probe"])))
    assert set(seen) == {(5.0, 1.0), (3.0, 3.0)}  # z₁ z₂ = ±1; the second is -(z ⊙ Hz)
    assert sum(a for a, _ in seen) / 400 == pytest.approx(4.0, abs=0.2)
    assert (opt.counters.forwards, opt.counters.backwards, opt.counters.hvps) == (400, 400, 400)
    file = io.BytesIO()
    torch.save(opt.state_dict(), file)
    twin = steepest.Optimizer(groups, lr=0.0, direction=steepest.direction.DiagonalHessian(), point=point.Hutchinson())
    twin.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    for each in (opt, twin):
        each.step(closure)
    assert torch.equal(opt.state[p]["probe"], twin.state[p]["probe"])
    assert torch.equal(opt.state[p]["D"], twin.state[p]["D"])
