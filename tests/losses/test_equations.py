"""Each loss against its paper's equation in numpy, in float64; and what it becomes at the edges of its numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from steepest import losses


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def test_early_learning_by_hand() -> None:
    """Three steps over five examples of three classes; Liu et al. 2020."""
    g = np.random.default_rng(0)
    t, state = np.zeros((5, 3)), losses.early_learning_state(5, 3, torch.zeros(0, dtype=torch.float64))
    for _ in range(3):
        i, z, y = g.permutation(5)[:3], g.normal(size=(3, 3)), g.integers(3, size=3)
        p = softmax(z)
        t[i] = 0.6 * t[i] + 0.4 * p
        want = np.mean([-math.log(p[k, y[k]]) + 2.5 * math.log(1 - p[k] @ t[i[k]]) for k in range(3)])
        loss, state = losses.early_learning(
            torch.tensor(z), torch.tensor(y), state, index=torch.tensor(i), weight=2.5, decay=0.6
        )
        assert float(loss) == pytest.approx(want, rel=1e-12)
        assert np.allclose(state["targets"].numpy(), t, rtol=1e-12, atol=0)


def test_early_learning_holds_the_gradient_of_a_wrong_label_back() -> None:
    """Lemma of the paper: where the target is sure of another class, descent pulls away from the label."""
    state = {"targets": torch.tensor([[0.0, 0.98, 0.01]], dtype=torch.float64)}
    z = torch.tensor([[0.0, 3.0, 0.0]], dtype=torch.float64, requires_grad=True)
    with_it, alone = (
        torch.autograd.grad(
            losses.early_learning(z, torch.tensor([0]), state, index=torch.tensor([0]), weight=weight, decay=0.999)[0],
            z,
        )[0]
        for weight in (3.0, 0.0)
    )
    assert torch.allclose(alone, torch.autograd.grad(F.cross_entropy(z, torch.tensor([0])), z)[0])
    assert alone[0, 1] > 0 > with_it[0, 1]


def test_early_learning_is_finite_where_the_network_is_sure() -> None:
    """The paper's logarithm is not."""
    z, state = torch.tensor([[100.0, 0.0]], requires_grad=True), losses.early_learning_state(1, 2)
    for _ in range(60):
        loss, state = losses.early_learning(z, torch.tensor([0]), state, index=torch.tensor([0]))
        assert torch.isfinite(loss)
        assert torch.isfinite(torch.autograd.grad(loss, z)[0]).all()


def test_dr_dpo_by_hand() -> None:
    """Wu et al. 2024; pairs with a large loss count less, in proportion to exp(-ℓ/b')."""
    g = np.random.default_rng(1)
    a, r = g.normal(size=(4, 2)) * 5, g.normal(size=(4, 2)) * 5
    each = np.log1p(np.exp(-0.3 * ((a[:, 0] - a[:, 1]) - (r[:, 0] - r[:, 1]))))
    want = -0.8 * math.log(np.mean(np.exp(-each / 0.8)))
    outputs = torch.tensor(a, requires_grad=True)
    loss, _ = losses.dr_dpo(outputs, torch.tensor(r), {}, beta=0.3, scale=0.8)
    assert float(loss.detach()) == pytest.approx(want, rel=1e-12)
    weights = np.exp(-each / 0.8) / np.exp(-each / 0.8).sum()
    slopes = -0.3 * (1 - np.exp(-each)) * weights
    assert np.allclose(torch.autograd.grad(loss, outputs)[0][:, 0].numpy(), slopes, rtol=1e-10)
    dpo = float(losses.dr_dpo(torch.tensor(a), torch.tensor(r), {}, beta=0.3, scale=math.inf)[0])
    assert dpo == pytest.approx(each.mean(), rel=1e-12)
    assert float(losses.dr_dpo(torch.tensor(a), torch.tensor(r), {}, beta=0.3, scale=1e6)[0]) == pytest.approx(
        dpo, rel=1e-5
    )


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e4])
def test_soft_min_lies_between_minimum_and_mean(size: float) -> None:
    each = size * torch.rand(20, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    found = [float(losses.soft_min(each, scale * size)) for scale in (1e-4, 0.1, 1.0, 1e5)]
    assert found == sorted(found)
    assert found[0] == pytest.approx(float(each.min()), abs=1e-3 * size)
    assert found[-1] == pytest.approx(float(each.mean()), rel=1e-4)
