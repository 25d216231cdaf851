"""XGrad (Guan et al. 2023, arXiv:2305.18240): gradients at predicted weights."""

from __future__ import annotations

from typing import Any

import steepest
from steepest import direction as D
from steepest import point
from tests.oracle.equations import Moments, Path, Rates
from tests.oracle.problems import Problem, Quadratic, Vector
from tests.rows import B, Hand, Row, Setting

THERE = dict.fromkeys(
    ("the_loss_comes_back", "dropout_is_replayed_and_norms_count_once", "a_closure_adds_to_what_is_there"),
    "the one evaluation of a step is at the predicted weights: so are the loss, the statistics and what may be added",
)
CONTRACT = {
    "XGradSGD": Setting({"lr": 0.02, "momentum": 0.8, "weight_decay": 0.1}, exceptions=THERE),
    "XGradAdamW": Setting({"lr": 0.01, "weight_decay": 0.1}, root=True, exceptions=THERE),
}


def xgrad_sgd(f: Problem, x: Vector, etas: Rates, mu: float = 0.9, s: float = 1.0, lam: float = 0.0) -> Path:
    """Algorithm 1 around SGD with momentum; decay is that of x."""
    v = 0 * x
    for t, eta in enumerate(etas, 1):
        v = mu * v + f.grad(x - eta * s * v, t) + lam * x
        x = x - eta * v
        yield x


def xgrad_adamw(f: Problem, x: Vector, etas: Rates, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, s: float = 1.0,
                lam: float = 0.0) -> Path:  # fmt: skip
    """Algorithm 1 around AdamW: the last direction with its own bias correction."""
    d, moments = 0 * x, Moments(b1, b2, eps)
    for t, eta in enumerate(etas, 1):
        d = moments(f.grad(x - eta * s * d, t))
        x = x - eta * lam * x - eta * d
        yield x


AHEAD = "the only gradient is the one at the predicted weights"
ORACLE = [
    Row("XGradSGD", xgrad_sgd, {"momentum": 0.8, "weight_decay": 0.1}, {"mu": 0.8, "lam": 0.1}, elsewhere=AHEAD),
    Row("XGradSGD", xgrad_sgd, {"momentum": 0.6, "ahead": 2.0}, {"mu": 0.6, "s": 2.0}, elsewhere=AHEAD),
    Row("XGradAdamW", xgrad_adamw, {"betas": (0.8, 0.9), "weight_decay": 0.1}, {**B, "lam": 0.1}, lr=0.03, elsewhere=AHEAD),
]  # fmt: skip
HANDS = [
    # g = (x, 2y): v₁ = (1, -2), x₁ = (0.9, -0.8); at x₁ - 0.2 v₁ = (0.7, -0.4): v₂ = (½ + 0.7, -1 - 0.8)
    Hand("XGrad", steepest.XGradSGD, {"momentum": 0.5}, xgrad_sgd, {"mu": 0.5}, Quadratic([1, 2], [1.0, -1.0]), [0.1, 0.2],
         [(0.9, -0.8), (0.66, -0.44)]),
]  # fmt: skip
SAME: dict[str, Any] = {
    "predicting no step is not predicting": (
        lambda p: steepest.Optimizer(p, lr=0.1, direction=D.Momentum(), point=point.XGrad(ahead=0.0)),
        lambda p: steepest.Optimizer(p, lr=0.1, direction=D.Momentum()),
    ),
}


def test_at_a_constant_rate_it_is_the_reflected_method() -> None:
    """x - η d_{t-1} is 2x - x_- there."""
    from tests.oracle.problems import Net, follow, gap

    trails = [follow(lambda p, at=at, **o: steepest.Optimizer(p, direction=D.Momentum(momentum=0.5), point=at, **o),
                     Net(), [0.1] * 12, lift="eager") for at in (point.XGrad(), point.Reflected())]  # fmt: skip
    assert gap(trails[0].x, trails[1].x) < 1e-12
