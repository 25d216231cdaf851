"""Private gradients against Algorithm 1 of Abadi et al. 2016 in numpy, and variance and adjacency, which it promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import steepest
from steepest.oracle import PrivateRows

N, LR, BOUND = 9, 0.3, 0.7


def data() -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(3)
    return torch.randn(N, 4, generator=g, dtype=torch.float64) * 2, (torch.rand(N, generator=g) < 0.5).double()


def linear() -> nn.Linear:
    model = nn.Linear(4, 1, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[0.5, -1.0, 0.2, 0.0]], dtype=torch.float64))
        model.bias.fill_(0.1)
    return model


def rows(model: nn.Module, index: int | list[int] = N) -> steepest.Rows:
    x, y = data()

    def losses(i: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(model(x[i]).squeeze(1), y[i], reduction="none")

    return steepest.Rows(losses, index)


@pytest.mark.parametrize(("lot", "chunk"), [(0, 256), (4, 256), (0, 2)])
def test_equals_the_algorithm_in_numpy(lot: int, chunk: int) -> None:
    """Logistic regression: gᵢ = (s(w·x + b) - y)(x, 1), clipped by its own length over w and b together."""
    model = linear()
    oracle = PrivateRows(bound=BOUND, noise=0.0, lot=lot, chunk=chunk)
    opt = steepest.SGD(model.parameters(), lr=LR, oracle=oracle)
    (x, y), w = (t.numpy() for t in data()), np.array([0.5, -1.0, 0.2, 0.0, 0.1])
    x = np.hstack([x, np.ones((N, 1))])
    shortened = 0
    for _ in range(5):
        loss = opt.step(rows(model))
        z = x @ w
        assert float(loss) == pytest.approx(np.mean(np.log1p(np.exp(z)) - y * z), rel=1e-12)
        g = (1 / (1 + np.exp(-z)) - y)[:, None] * x
        lengths = np.sqrt((g**2).sum(1))
        shortened += (lengths > BOUND).sum()
        w = w - LR * (g / np.maximum(1, lengths / BOUND)[:, None]).sum(0) / (lot or N)
        found = np.append(model.weight.detach().numpy(), model.bias.detach().numpy())
        assert np.allclose(found, w, rtol=1e-12, atol=0)
    assert 5 < shortened < 5 * N, "some rows are clipped and some are not"


def noises(steps: int, **options: int) -> Tensor:
    """g̃ of each step less the one without noise."""
    found = []
    for noise in (1.5, 0.0):
        model = linear()
        opt = steepest.SGD(model.parameters(), lr=0.0, oracle=PrivateRows(bound=BOUND, noise=noise, **options))
        seen = []
        for _ in range(steps):
            opt.step(rows(model))
            seen.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
        found.append(torch.stack(seen))
    return found[0] - found[1]


def test_the_noise_has_the_variance_that_is_said() -> None:
    """σC/L in every coordinate, no mean, anew at every step, the same again with the same seed."""
    seen = noises(1500, lot=6)
    assert torch.allclose(seen.std(0), torch.full((5,), 1.5 * BOUND / 6, dtype=torch.float64), rtol=0.08)
    assert float(seen.mean(0).abs().max()) < 4 * 1.5 * BOUND / 6 / 1500**0.5
    assert abs(float((seen[1:] * seen[:-1]).mean())) < 0.02 * float(seen.square().mean()) * 5
    assert torch.equal(noises(3), noises(3))
    assert not torch.equal(noises(3, seed=1), noises(3, seed=2))


def test_one_row_more_changes_the_sum_by_at_most_the_bound() -> None:
    """What privacy rests on; without clipping the same rows change it by more."""
    for bound, within in ((BOUND, True), (1e9, False)):
        sums = []
        for index in ([*range(N - 1)], [*range(N)]):
            model = linear()
            oracle = PrivateRows(bound=bound, noise=0.0, lot=1)
            steepest.SGD(model.parameters(), lr=0.0, oracle=oracle).step(rows(model, index))
            sums.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
        assert (float((sums[1] - sums[0]).norm()) <= BOUND * (1 + 1e-12)) == within


def test_no_rows_are_noise_alone() -> None:
    """Poisson sampling may draw none."""
    model = linear()
    opt = steepest.SGD(model.parameters(), lr=1.0, oracle=PrivateRows(lot=8))
    assert float(opt.step(rows(model, []))) == 0
    assert opt.counters.rows == 0
    assert not torch.equal(model.weight, linear().weight)
    quiet = linear()
    steepest.SGD(quiet.parameters(), lr=1.0, oracle=PrivateRows(noise=0.0, lot=8)).step(rows(quiet, []))
    assert torch.equal(quiet.weight, linear().weight)


def test_a_run_resumes_to_the_bit() -> None:
    model = linear()
    opt = steepest.AdamW(model.parameters(), oracle=PrivateRows(seed=5))
    for _ in range(3):
        opt.step(rows(model))
    twin = linear()
    twin.load_state_dict(model.state_dict())
    again = steepest.AdamW(twin.parameters(), oracle=PrivateRows(seed=5))
    again.load_state_dict(opt.state_dict())
    for one, m in ((opt, model), (again, twin)):
        for _ in range(3):
            one.step(rows(m))
    assert torch.equal(model.weight, twin.weight)
    assert opt.counters == again.counters
    assert opt.counters.rows == 6 * N
