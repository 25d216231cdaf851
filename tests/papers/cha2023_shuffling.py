"""Orders of samples, GraB among them (Cha, Lee & Yun 2023, arXiv:2303.07160; Lu, Guo & De Sa 2022, arXiv:2205.10733)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from steepest import solve as S
from tests.solve.logistic import gradient
from tests.solve.table import N, _row, rows, x0

F64 = torch.float64

SOLVERS = {
    "ShuffledSGD": _row(lambda: S.ShuffledSGD(lr=0.02), rows, {"residual": 0.05}),
    "ShuffledSGD, replacement": _row(lambda: S.ShuffledSGD(lr=0.02, order="replacement"), rows, {"residual": 0.05}),
    "ShuffledSGD, GraB": _row(lambda: S.ShuffledSGD(lr=0.02, order="grab"), rows, {"residual": 0.05}),
}


def test_grab_by_its_algorithm() -> None:
    """Two lists, one for each sign: the next order is the first, and then the second from its end."""
    random, lr = torch.Generator().manual_seed(4), 0.2
    order = torch.randperm(N, generator=random).tolist()
    x, mean, orders = x0(F64).numpy(), np.zeros(5), []
    for _ in range(6):
        s, gradients, plus, minus = np.zeros(5), [], [], []
        for i in order:
            g = gradient(x, np.array([i]))
            gradients.append(g)
            c = g - mean
            if np.linalg.norm(s + c) < np.linalg.norm(s - c):
                plus.append(i)
                s = s + c
            else:
                minus.append(i)
                s = s - c
            x = x - lr * g
        order, mean = plus + minus[::-1], np.mean(gradients, axis=0)
        orders.append(order)
    result = S.solve(rows(F64), S.ShuffledSGD(lr, "grab", seed=4), max_steps=6 * N, every=100)
    assert np.allclose(result.x.numpy(), x, rtol=1e-10)
    assert result.state["values"]["order"].tolist() == order
    assert len({tuple(order) for order in orders}) > 1


@pytest.mark.parametrize("order", ["once", "reshuffle"])
def test_orders_by_hand(order: str) -> None:
    random = torch.Generator().manual_seed(4)
    passes = [torch.randperm(N, generator=random) for _ in range(5)]
    x = x0(F64).numpy()
    for k in range(5):
        for i in passes[k if order == "reshuffle" else 0].numpy():
            x = x - 0.2 * gradient(x, np.array([i]))
    result = S.solve(rows(F64), S.ShuffledSGD(0.2, order, seed=4), max_steps=5 * N, every=100)
    assert np.allclose(result.x.numpy(), x, rtol=1e-12)


def test_an_unknown_order() -> None:
    with pytest.raises(ValueError, match="order must be one of 'replacement', 'once', 'reshuffle', 'grab', got 'best'"):
        S.ShuffledSGD(0.1, "best")
