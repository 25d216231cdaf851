"""Gradient descent for separation: the equations by hand, the limit, the factor n, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from steepest.solve import Result, batch_perceptron, lr_gd, normalized_lr_gd


def rare(n: int) -> tuple[Tensor, Tensor]:
    """n - 1 copies of an easy row and one that points elsewhere."""
    A = torch.tensor([1.0, 0.2], dtype=torch.float64).repeat(n, 1)
    A[-1] = torch.tensor([-0.8, 1.0])
    return A, torch.ones(n)


def theta(result: Result) -> Tensor:
    assert result.x is not None
    return result.x


def gaussian(seed: int, n: int = 60, d: int = 8) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    A = torch.randn(n, d, generator=random, dtype=torch.float64)
    return A, (A[:, 0] + 0.3 * A[:, 1]).sign()


def paper(A: Tensor, y: Tensor, gamma: float, steps: int, kind: str) -> np.ndarray[Any, Any]:
    """The equations, in numpy and one row at a time."""
    a, labels = A.numpy(), y.numpy()
    x = np.zeros(a.shape[1])
    for _ in range(steps):
        weights = []
        for row, label in zip(a, labels, strict=True):
            m = label * (row @ x)
            if m > 700:
                weights.append(0.0)
            else:
                weights.append({"perceptron": float(m < 0) + 0.5 * (m == 0)}.get(kind, 1 / (1 + math.exp(m))))
        total = {"lr": len(a) / gamma, "normalized": sum(weights) / gamma, "perceptron": len(a)}[kind]
        x = x + sum(w * label * row for w, label, row in zip(weights, labels, a, strict=True)) / total
    return x


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("solve", "kind"), [(lr_gd, "lr"), (normalized_lr_gd, "normalized")])
@pytest.mark.parametrize("gamma", [0.1, 3.0])
def test_equals_the_equations(solve: Any, kind: str, gamma: float, seed: int) -> None:
    A, y = gaussian(seed)
    result = solve(A, y, gamma=gamma)
    assert result.solved
    few = solve(A, y, gamma=gamma, steps=25)  # steps of this length multiply a rounding by two or so each time
    assert np.allclose(theta(few).numpy(), paper(A, y, gamma, few.steps, kind), rtol=1e-10)
    assert result.history["wrong"][-1] == 0 == int((y * (A @ theta(result)) <= 0).sum())
    assert all(result.history["wrong"][:-1])
    assert len(result.history["loss"]) == result.steps + 1
    assert result.history["loss"][0] == pytest.approx(math.log(2))


def test_the_perceptron_equals_its_equation() -> None:
    A, y = gaussian(1)
    result = batch_perceptron(A, y)
    assert result.solved
    assert np.allclose(theta(result).numpy(), paper(A, y, 1.0, result.steps, "perceptron"), rtol=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_huge_steps_are_the_batch_perceptron(seed: int) -> None:
    A, y = gaussian(seed)
    limit, huge = batch_perceptron(A, y), lr_gd(A, y, gamma=1e9)
    assert limit.steps == huge.steps > 1
    assert torch.allclose(theta(huge) / 1e9, theta(limit), rtol=1e-6, atol=1e-9)


def test_n_copies_cost_n_steps_unless_normalized() -> None:
    """By hand: θ₁ = γ(1/2n)((n-1)(1, .2) + (-.8, 1)) leaves the last row behind; each further step pulls it by γ/n."""
    few, many = (lr_gd(*rare(n), gamma=1e4).steps for n in (100, 1000))
    assert 8 * few < many < 12 * few
    assert all(normalized_lr_gd(*rare(n), gamma=1e4).steps <= 3 for n in (100, 1000, 5000))


def test_a_far_away_start_is_no_trouble() -> None:
    """All weights underflow but their ratios do not."""
    A, y = rare(10)
    result = normalized_lr_gd(A, y, start=torch.tensor([5000.0, 0.0]), gamma=1e5)
    assert result.solved
    assert bool(torch.isfinite(theta(result)).all())


def test_what_cannot_be_separated_is_said() -> None:
    A = torch.tensor([[1.0], [1.0]])
    result = lr_gd(A, torch.tensor([1.0, -1.0]), steps=5)
    assert not result.solved
    assert "wrong side" in result.reason
    assert result.steps == 5


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"y": torch.tensor([0.0, 1.0])}, r"2 \* y - 1"),
        ({"y": torch.ones(3)}, "2 labels"),
        ({"A": torch.ones(2)}, "table"),
        ({"A": torch.ones(2, 2, dtype=torch.long)}, "floating-point"),
        ({"A": torch.full((2, 2), torch.nan)}, "not finite"),
        ({"gamma": 0.0}, "gamma must be positive"),
    ],
    ids=str,
)
def test_mistakes_are_named(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        lr_gd(**{"A": torch.ones(2, 2), "y": torch.ones(2), **wrong})
