"""Gradient regularization by finite differences (Karakida et al. 2023, arXiv:2210.02720)."""

from __future__ import annotations

import steepest
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Problem, Quadratic, Vector
from tests.rows import MOVE, TERMS, Row, Setting

CONTRACT = {
    "FGR": Setting({"lr": 0.03, "strength": 0.1, "ascent": 0.1, "weight_decay": 0.1}),
}


def penalty(f: Problem, x: Vector, etas: Rates, gamma: float = 0.05, eps: float = 0.05, side: str = "forward",
            mu: float = 0.0, lam: float = 0.0) -> Path:  # fmt: skip
    """arXiv:2210.02720: g + γ Δ with the difference taken ahead, behind, or on both sides."""
    buf = 0 * x
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t)
        ahead, behind = f.grad(x + eps * g, t), f.grad(x - eps * g, t)
        Delta = {"forward": ahead - g, "backward": g - behind, "centred": (ahead - behind) / 2}[side] / eps
        buf = mu * buf + g + gamma * Delta + lam * x
        x = x - eta * buf
        yield x


ORACLE = [
    Row("FGR", penalty, {"strength": 0.4, "ascent": 0.2, **MOVE}, {"gamma": 0.4, "eps": 0.2, **TERMS}),
    Row("FGR", penalty, {"strength": 0.4, "side": "backward", "momentum": 0.0},
        {"gamma": 0.4, "side": "backward"}),
    Row("FGR", penalty, {"ascent": 0.3, "strength": 2.0, "side": "centred", "momentum": 0.0},
        {"gamma": 2.0, "eps": 0.3, "side": "centred"}),
    Row("FGR", penalty, {"strength": 0.4, "side": "exact", **MOVE},
        {"gamma": 0.4, "side": "centred", "eps": 1.0, **TERMS},
        on=Quadratic([1, 3, 2, 0.5], [0.7, -0.2], [1.1, 0.4])),  # where differences are exact; laws have other losses
]  # fmt: skip


SAME = {
    "no gradient penalty": (lambda p: steepest.FGR(p, strength=0.0), lambda p: steepest.SGD(p, lr=0.1, momentum=0.9)),
}
