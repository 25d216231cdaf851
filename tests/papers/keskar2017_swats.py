"""SWATS (Keskar & Socher 2017, arXiv:1712.07628): Adam first, SGD with momentum once its learning rate is known."""

from __future__ import annotations

import torch
from torch import nn

import steepest
from tests.oracle.equations import Moments, Path, Rates, dot
from tests.oracle.problems import Linear, Problem, Vector
from tests.rows import SUM, B, Hand, Row, Setting

CONTRACT = {
    "SWATS": Setting(
        {"lr": 0.05, "settled": 0.03, "weight_decay": 0.1},
        whole=SUM,
        root=True,
        exceptions={"rounding_differs_between_steps_and_tensors": "the momentum of SGD is 0 until the switch"},
    )
}


def swats(f: Problem, x: Vector, etas: Rates, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8,
          settled: float = 1e-9, lam: float = 0.0) -> Path:  # fmt: skip
    """Algorithm 1; after the switch Λ follows the schedule of the learning rate."""
    adam, mean, v, rate = Moments(b1, b2, eps), 0.0, 0 * x, 0.0
    for k, eta in enumerate(etas, 1):
        g = f.grad(x, k)
        if rate:
            v = b1 * v + g
            x = x - (1 - b1) * rate * eta * (v + lam * x)
        else:
            p = -eta * adam(g)
            if dot(p, g) != 0:
                gamma = dot(p, p) / -dot(p, g)
                mean = b2 * mean + (1 - b2) * gamma
                if k > 1 and abs(mean / (1 - b2**k) - gamma) < settled and mean > 0:
                    rate = mean / (1 - b2**k) / eta
            x = x + p - eta * lam * x
        yield x


ORACLE = [
    Row("SWATS", swats, {"weight_decay": 0.1}, {"lam": 0.1}, lr=0.03),  # no switch
    Row("SWATS", swats, {"betas": (0.8, 0.9), "settled": 0.02}, {**B, "settled": 0.02}, lr=0.03),
    Row("SWATS", swats, {"eps": 1e-2, "settled": 0.05, "weight_decay": 0.1}, {"eps": 1e-2, "settled": 0.05, "lam": 0.1},
        lr=0.1),
]  # fmt: skip
HANDS = [
    # p = -0.1 (1, 1), γ = 0.02/0.4 at both steps: the switch, Λ = 0.05; then ½ Λ v with v = g, 3/2 g
    Hand("SWATS", steepest.SWATS, {"betas": (0.5, 0.5), "eps": 0.0}, swats, {"b1": 0.5, "b2": 0.5, "eps": 0.0},
         Linear([0, 0], [3, 1]), [0.1] * 4,
         [(-0.1, -0.1), (-0.2, -0.2), (-0.275, -0.225), (-0.3875, -0.2625)]),
]  # fmt: skip


def test_it_switches_once_and_says_so() -> None:
    x = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    opt = steepest.SWATS([x], lr=0.01, settled=1e-3)
    seen = []
    for _ in range(60):
        opt.step(lambda: (x * x).sum() / 2)
        seen.append((opt.metrics()["in_sgd"], opt.metrics()["sgd_rate"]))
    phases = [phase for phase, _ in seen]
    assert phases == sorted(phases) and phases[0] == 0 and phases[-1] == 1
    assert len({rate for phase, rate in seen if phase}) == 1


def test_a_gradient_of_zero_compares_nothing() -> None:
    x = nn.Parameter(torch.ones(2))
    opt = steepest.SWATS([x], settled=1.0)
    for _ in range(5):
        opt.step(lambda: (0 * x).sum())
    assert opt.metrics()["sgd_rate"] == 0 and x.tolist() == [1.0, 1.0]
