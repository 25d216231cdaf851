"""Laws of the noisy oracle: none is none, it has no mean and the variance that is said, and a run is its seed."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

import steepest
from steepest import oracle
from tests.laws.common import tensor

SLOPE = tensor([3.0, -1.0, 2.0, 0.5, 1.0])


def noises(steps: int, additive: float, relative: float, seed: int = 0) -> Tensor:
    """ĝ - g of each step, over two tensors of different shapes."""
    p, q, unused = (
        nn.Parameter(tensor([0.0, 0.0])),
        nn.Parameter(tensor([[0.0], [0.0], [0.0]])),
        nn.Parameter(tensor([1.0])),
    )
    noise = oracle.AffineNoise(additive=additive, relative=relative, seed=seed)
    opt = steepest.Optimizer([p, q, unused], lr=0.0, oracle=noise)
    found = []
    for _ in range(steps):
        opt.zero_grad()
        opt.step(lambda: SLOPE @ torch.cat([p, q.view(-1)]))
        assert unused.grad is None and p.grad is not None and q.grad is not None
        found.append(torch.cat([p.grad, q.grad.view(-1)]) - SLOPE)
    assert (opt.counters.forwards, opt.counters.backwards) == (steps, steps)
    return torch.stack(found)


@pytest.mark.parametrize(("additive", "relative"), [(2.0, 0.0), (0.0, 0.5), (1.0, 0.7)])
def test_variance_is_affine(additive: float, relative: float) -> None:
    """σ₀² + σ₁²‖g‖² in all, alike in every coordinate, no mean, and no correlation from step to step."""
    seen, steps = noises(4000, additive, relative), 4000
    want = additive**2 + relative**2 * float(SLOPE @ SLOPE)
    assert float(seen.square().sum(1).mean()) == pytest.approx(want, rel=0.05)
    assert torch.allclose(seen.square().mean(0), torch.full_like(SLOPE, want / 5), rtol=0.12)
    assert float(seen.mean(0).norm()) < 4 * (want / steps) ** 0.5
    assert abs(float((seen[1:] * seen[:-1]).sum(1).mean())) < 4 * want / steps**0.5


def test_a_run_is_its_seed() -> None:
    assert not noises(3, 0.0, 0.0).any()
    assert torch.equal(noises(3, 1.0, 0.5, seed=4), noises(3, 1.0, 0.5, seed=4))
    assert not torch.equal(noises(3, 1.0, 0.5, seed=4), noises(3, 1.0, 0.5, seed=5))


def test_each_question_has_noise_of_its_own_and_copies_go_on_alike() -> None:
    x = nn.Parameter(SLOPE.clone())
    opt = steepest.Optimizer([x], lr=0.1, point=steepest.point.ExtraGradient(), oracle=oracle.AffineNoise(additive=1.0))
    seen: list[Tensor] = []

    def closure() -> Tensor:
        seen.append(x.detach().clone())
        return x.square().sum() / 2

    opt.step(closure)
    first = SLOPE - seen[1] - 0.1 * SLOPE
    second = SLOPE - x.detach() - 0.1 * seen[1]
    assert float((first - second).norm()) > 0.01
    y, twin = copy.deepcopy((x, opt))
    opt.step(closure)
    twin.step(lambda: y.square().sum() / 2)
    assert torch.equal(x, y)
