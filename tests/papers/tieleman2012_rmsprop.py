"""RMSprop (Tieleman & Hinton 2012, lecture 6.5; centered: Graves 2013, arXiv:1308.0850, equations 38 to 40)."""

from __future__ import annotations

import numpy as np
import torch

import steepest
from steepest import direction as D
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Linear, Problem, Vector
from tests.rows import Hand, Pair, Row, Setting

CONTRACT = {
    "RMSprop": Setting(
        {"lr": 0.002, "momentum": 0.8, "centered": True, "eps": 1e-3, "weight_decay": 0.1}, root=True, state_bytes=12.0
    ),
}


def rmsprop(f: Problem, x: Vector, etas: Rates, alpha: float = 0.99, eps: float = 1e-8, mu: float = 0.0,
            centered: bool = False, lam: float = 0.0) -> Path:  # fmt: skip
    """The lecture's slide, and Graves' n - g²; the place of ε is torch's."""
    v = a = b = 0 * x
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t) + lam * x
        v, a = alpha * v + (1 - alpha) * g**2, alpha * a + (1 - alpha) * g
        d = g / (np.sqrt(v - a**2 if centered else v) + eps)
        b = mu * b + d
        x = x - eta * b
        yield x


ORACLE = [
    Row("RMSprop", rmsprop, {"alpha": 0.8, "eps": 1e-3, "weight_decay": 0.1}, {"alpha": 0.8, "eps": 1e-3, "lam": 0.1}, lr=0.03),
    Row("RMSprop", rmsprop, {"alpha": 0.8, "eps": 1e-3, "momentum": 0.7}, {"alpha": 0.8, "eps": 1e-3, "mu": 0.7}, lr=0.03),
    Row("RMSprop", rmsprop, {"alpha": 0.8, "eps": 1e-2, "momentum": 0.7, "centered": True},
        {"alpha": 0.8, "eps": 1e-2, "mu": 0.7, "centered": True}, lr=0.01),
]  # fmt: skip
HANDS = [
    # v₁ = (16, 4)/4, d₁ = (2, -2); v₂ = ¾ (4, 1) + (4, 1)/4 = (4, 1), d₂ = (-1, 1), with half of d₁: (0, 0)
    Hand("RMSprop", steepest.RMSprop, {"alpha": 0.75, "eps": 0.0, "momentum": 0.5}, rmsprop,
         {"alpha": 0.75, "eps": 0.0, "mu": 0.5}, Linear([1, -1], [4, -2], [-2, 1]), [0.1, 0.2], [(0.8, -0.8), (0.8, -0.8)]),
    # α = ½: v₁ = g²/2, a₁ = g/2, v - a² = g²/4: d₁ = 2 sign; v₂ = 4 + 8, a₂ = 1 + 2: d₂ = 4/√(12 - 9), and 0 where g is
    Hand("centered", steepest.RMSprop, {"alpha": 0.5, "eps": 0.0, "centered": True}, rmsprop,
         {"alpha": 0.5, "eps": 0.0, "centered": True}, Linear([1, -1], [4, -2], [4, 0]), [0.1, 0.1],
         [(0.8, -0.8), (0.8 - 0.4 / np.sqrt(12 - 9), -0.8)]),
]  # fmt: skip
TORCH = [
    Pair(steepest.RMSprop, torch.optim.RMSprop, {"lr": 0.01}),
    Pair(steepest.RMSprop, torch.optim.RMSprop, {"lr": 0.01, "alpha": 0.9, "eps": 1e-3, "weight_decay": 0.1, "momentum": 0.8}),
    Pair(steepest.RMSprop, torch.optim.RMSprop, {"lr": 0.003, "alpha": 0.9, "eps": 1e-2, "momentum": 0.7, "centered": True}),
    Pair(steepest.RMSprop, torch.optim.RMSprop, {"lr": 0.003, "eps": 1e-2, "centered": True, "maximize": True}),
]  # fmt: skip

DIRECTIONS = {"plain RMSprop": D.RMSprop, "heavy RMSprop": lambda: D.HeavyBall(D.RMSprop(), momentum=0.5)}
SCALE_FREE = {"plain RMSprop": lambda: D.RMSprop(eps=0.0)}
COLLAPSES = {
    "RMSprop without memory is sign": (D.RMSprop(alpha=0.0, eps=1e-300), D.Sign()),
    "a heavy ball without momentum is none": (D.HeavyBall(D.RMSprop(), momentum=0.0), D.RMSprop()),
    "a heavy ball around the gradient is momentum": (
        D.HeavyBall(D.Direction(), momentum=0.7),
        D.Momentum(momentum=0.7),
    ),
}


def test_a_constant_gradient_is_divided_by_its_own_rounding_error_and_stays_finite() -> None:
    """v = a² in the limit: rounding may make v - a² negative, which torch turns into NaN."""
    x = torch.nn.Parameter(torch.zeros(5))
    opt = steepest.RMSprop([x], lr=1e-6, alpha=0.5, eps=1e-2, centered=True, nonfinite="propagate")
    for _ in range(60):
        x.grad = torch.tensor([0.1, 0.3, 0.7, -1.1, 1e3])
        opt.step()
    assert x.isfinite().all()
