"""The stochastic Polyak step (Loizou et al. 2021, arXiv:2002.10542)."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

import steepest
from steepest import stepsize
from tests.oracle.equations import Path, Rates, dot
from tests.oracle.problems import Linear, Problem, Quadratic, Vector
from tests.rows import LOSS, SUMMED, UPHILL, Row, Setting, by_hand, searched

CONTRACT = {
    "SPS": Setting(
        {"eta_max": 1.0, "growth": 1.5}, whole=LOSS, uses_loss=True, loose={"strides_change_nothing": SUMMED}
    ),
}


def sps(f: Problem, x: Vector, etas: Rates, c: float = 0.5, f_star: float = 0.0, most: float = 10.0,
        tau: float = math.inf, mu: float = 0.0) -> Path:  # fmt: skip
    """Along d = g (paper), or along a momentum: then ⟨g, d⟩ stands for ‖g‖², and d is not taken where it ascends."""
    old, d = None, 0 * x
    for t, lr in enumerate(etas, 1):
        g = f.grad(x, t)
        d = mu * d + g
        if dot(g, d) > 0 and f.loss(x, t) > f_star:
            eta = min((f.loss(x, t) - f_star) / (c * dot(g, d)), most)
            old = eta if old is None else min(eta, tau * old)
            x = x - lr * old * d
        yield x


ORACLE = [
    Row("SPS", sps, {"c": 0.6, "f_star": 0.01, "eta_max": 2.0}, {"c": 0.6, "f_star": 0.01, "most": 2.0},
        lr=1.0),
    Row("SPS", sps, {"growth": 1.2}, {"tau": 1.2}, lr=0.5),
]  # fmt: skip
EDGES = [
    Row("SPS", sps, {"f_star": 0.4}, {"f_star": 0.4}, lr=1.0),  # some losses are below f*
    Row("SPS", sps, {"f_star": 0.4, "growth": 1.5}, {"f_star": 0.4, "tau": 1.5}, lr=1.0),
    Row("SPS", sps, {"f_star": 0.4}, {"f_star": 0.4}, lr=1.0, on=Linear([0.0], [1.0], constant=0.4)),
    Row(searched, sps, {"by": stepsize.SPS()}, {"mu": 0.9}, lr=None, on=UPHILL),
]  # fmt: skip


SAME = {
    "Polyak's step at its bound": (lambda p: steepest.SPS(p, eta_max=0.001), lambda p: steepest.SGD(p, lr=0.001)),
}
UNITLESS: dict[str, Callable[[int], stepsize.StepSize]] = {
    "SPS": lambda power: stepsize.SPS(eta_max=float("inf")),
    "SPS with f*": lambda power: stepsize.SPS(eta_max=float("inf"), f_star=-0.5 * 2.0**power),
    "SPS with growth": lambda power: stepsize.SPS(eta_max=float("inf"), growth=1.25),
}
LENGTHS: dict[str, Callable[[float, Tensor], stepsize.StepSize]] = {
    "SPS": lambda scale, start: stepsize.SPS(eta_max=float("inf")),
}


def test_sps_by_hand() -> None:
    """f = ‖x‖²/2 from (3, 4), f* = 2.5: (12.5 - 2.5)/25 = 0.4 > η_max = 0.3, to (2.1, 2.8); then 3.625/12.25."""
    by_hand(steepest.SPS, {"c": 1.0, "f_star": 2.5, "eta_max": 0.3}, sps,
          {"c": 1.0, "f_star": 2.5, "most": 0.3}, Quadratic([1, 1], [3.0, 4.0]), [1.0],
          [(2.1, 2.8), (2.1 * 69 / 98, 2.8 * 69 / 98)])  # fmt: skip


def test_sps_growth_by_hand() -> None:
    """Gradients (4, 0), (1, 0), constant 8: from 0, 8/(½·16) = 1, to -4; then (8 - 4)/(½·1) = 8 > 1.5·1, to -5.5."""
    problem = Linear([0, 0], [4, 0], [1, 0], constant=8)
    by_hand(steepest.SPS, {"growth": 1.5}, sps, {"tau": 1.5}, problem, [1.0], [(-4, 0), (-5.5, 0)])
