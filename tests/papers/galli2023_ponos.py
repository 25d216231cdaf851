"""PoNoS (Galli et al. 2023, arXiv:2306.12747): a non-monotone line search from Polyak's step."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

import steepest
from steepest import stepsize
from tests.oracle.equations import Moments, Path, Rates, dot
from tests.oracle.problems import Linear, Problem, Quadratic, Trap, Vector
from tests.rows import LOSS, SUMMED, UPHILL, Row, Setting, by_hand, searched

SECOND = "Adam's second moment remembers the huge gradient for 1/(1 - β₂) steps, and η follows slowly or has a bound"

CONTRACT = {
    "PoNoS": Setting(
        whole=LOSS,
        searches=True,
        loose={"strides_change_nothing": SUMMED},
        worse={
            "exploding-0": "the reference is the mean of all losses, so a huge one allows ascent for long, as in the paper"
        },
    ),
    "PoNoSPrec": Setting(
        {"eta_max": 1.0, "c_p": 0.5, "c": 0.5, "delta": 0.7, "eps": 0.01},
        whole=LOSS,
        root=True,
        searches=True,
        loose={"strides_change_nothing": SUMMED},
        unguarded={
            "exploding-0": SECOND,
            "exploding-5": SECOND,
        },
    ),
}


def ponos(f: Problem, x: Vector, etas: Rates, c: float = 0.5, c_p: float = 0.1, delta: float = 0.5, most: float = 10.0,
          xi: float = 1.0, f_star: float = 0.0, mu: float = 0.0, phi: float = 1.0,
          ratchet: bool = False) -> Path:  # fmt: skip
    C, Q, lbar, d = 0.0, 0.0, 0.0, 0 * x
    for t, lr in enumerate(etas, 1):
        g, here = f.grad(x, t), f.loss(x, t)
        d = mu * d + g
        C_tilde = (xi * Q * C + here) / (xi * Q + 1)
        bound = max(C_tilde, here)
        C, Q = bound if ratchet else C_tilde, xi * Q + 1  # the paper, as quoted by third parties, or the authors' code
        if dot(g, d) > 0 and here > f_star:
            eta = min((here - f_star) / (c_p * dot(g, d)) * delta**lbar, most)
            for tries in range(100):
                if delta**tries < 1e-6:
                    break  # ours: x - ηd is about to round to x
                if f.loss(x - lr * eta * delta**tries * d, t) <= bound - c * lr * eta * delta**tries * dot(g, d):
                    x = x - lr * eta * delta**tries * d
                    lbar = max(lbar + tries - phi, 0.0)
                    break
        yield x


def ponos_prec(f: Problem, x: Vector, etas: Rates, c: float = 0.1, c_p: float = 0.1, delta: float = 0.5,
               most: float = 10.0, b1: float = 0.0, b2: float = 0.999, eps: float = 1e-8) -> Path:  # fmt: skip
    C, Q, lbar, moments = 0.0, 0.0, 0, Moments(b1, b2, eps)
    for t, lr in enumerate(etas, 1):
        g, here = f.grad(x, t), f.loss(x, t)
        d = moments(g)
        C = (Q * C + here) / (Q + 1)
        Q, bound = Q + 1, max(C, here)
        if dot(g, d) > 0 and here > 0:
            eta = min(here / (c_p * dot(g, d)) * delta**lbar, most)
            for tries in range(20):
                step = eta * delta**tries
                if f.loss(x - lr * step * d, t) <= bound - c * lr * step * dot(g, d):
                    x, lbar = x - lr * step * d, max(lbar + tries - 1, 0)
                    break
        yield x


ORACLE = [
    Row("PoNoS", ponos, {"eta_max": 6.0}, {"most": 6.0}, lr=None),
    Row("PoNoS", ponos, {"c_p": 0.3, "xi": 0.7, "delta": 0.8, "f_star": 0.05, "eta_max": 6.0},
        {"c_p": 0.3, "xi": 0.7, "delta": 0.8, "f_star": 0.05, "most": 6.0}, lr=1.0),
    Row("PoNoS", ponos, {"eta_max": 3.0, "forget": 0.3}, {"most": 3.0, "phi": 0.3}, lr=None),
    Row("PoNoS", ponos, {"eta_max": 3.0, "forget": math.inf}, {"most": 3.0, "phi": math.inf}, lr=None),
    Row("PoNoS", ponos, {"eta_max": 6.0, "stored": "max"}, {"most": 6.0, "ratchet": True}, lr=None),
    Row("PoNoSPrec", ponos_prec, {"eta_max": 0.5}, {"most": 0.5}, lr=None),
    Row("PoNoSPrec", ponos_prec, {"betas": (0.5, 0.9), "eps": 1e-3, "c": 0.4, "eta_max": 0.2},
        {"b1": 0.5, "b2": 0.9, "eps": 1e-3, "c": 0.4, "most": 0.2}, lr=None),
]  # fmt: skip
EDGES = [
    Row("PoNoS", ponos, {"delta": 0.9}, {"delta": 0.9}, lr=None, on=Trap([1.0], [2.0], constant=50.0)),
    Row("PoNoS", ponos, {"f_star": 0.4}, {"f_star": 0.4}, lr=None),
    Row("PoNoS", ponos, {"f_star": 0.4}, {"f_star": 0.4}, lr=None, on=Linear([0.0], [1.0], constant=0.4)),
    Row("PoNoS", ponos, {"c_p": 1.0}, {"c_p": 1.0}, lr=None, on=Quadratic([1, 1], [1.0, -2.0])),  # l̄ ≥ 0
    Row(searched, ponos, {"by": stepsize.PoNoS()}, {"mu": 0.9}, lr=None, on=UPHILL),
]  # fmt: skip


UNITLESS: dict[str, Callable[[int], stepsize.StepSize]] = {
    "PoNoS": lambda power: stepsize.PoNoS(eta_max=1e9 * 2.0**-power),
}
LENGTHS: dict[str, Callable[[float, Tensor], stepsize.StepSize]] = {
    "PoNoS": lambda scale, start: stepsize.PoNoS(eta_max=1e12),
}


def test_ponos_by_hand() -> None:
    """f = 2‖x‖² = 10, ‖g‖² = 8f: Polyak's step is 1/(8·0.1) = 1.25, and Armijo with c = ½ holds up to η = ¼.  Trials
    1.25, 0.625, 0.3125, 0.15625: x times 1 - 0.625, l̄ = 3 - 1.  Then C = (10 + 1.40625)/2, the first trial is 1.25/4,
    and (1 - 1.25)² f ≤ C - ½·0.3125·8f holds though 0.3125 > ¼: x times -0.25, l̄ = 1.
    """
    trail = by_hand(steepest.PoNoS, {}, ponos, {}, Quadratic([4, 4], [1.0, -2.0]), [1.0],
                  [(0.375, -0.75), (-0.09375, 0.1875)])  # fmt: skip
    assert [len(asked) for asked in trail.asked[:2]] == [1 + 4, 1 + 1]
