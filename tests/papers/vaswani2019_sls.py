"""Stochastic line search (Vaswani et al. 2019, arXiv:1905.09997)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

import steepest
from steepest import stepsize
from tests.oracle.equations import Path, Rates, dot
from tests.oracle.problems import Problem, Quadratic, Trap, Vector
from tests.rows import LOSS, UPHILL, Row, Setting, by_hand, searched

CONTRACT = {
    "SLS": Setting({"eta_max": 2.0, "batches_per_epoch": 5}, whole=LOSS, searches=True),
}


def sls(f: Problem, x: Vector, etas: Rates, c: float = 0.1, beta: float = 0.9, gamma: float = 2.0, batches: int = 500,
        most: float = 1.0, reset: str = "grow", mu: float = 0.0) -> Path:  # fmt: skip
    old, d = None, 0 * x
    for t, lr in enumerate(etas, 1):
        g, here = f.grad(x, t), f.loss(x, t)
        d = mu * d + g
        if dot(g, d) > 0:
            if old is None or reset == "max":
                eta = most
            else:
                eta = min(old * gamma ** (1 / batches) if reset == "grow" else old, most)
            for _ in range(100):
                if f.loss(x - lr * eta * d, t) <= here - c * lr * eta * dot(g, d):
                    x, old = x - lr * eta * d, eta
                    break
                eta *= beta
            else:
                old = None  # ours: a failed search leaves x, and starts from the top next time
        yield x


ORACLE = [
    Row("SLS", sls, {"eta_max": 20.0, "batches_per_epoch": 4}, {"most": 20.0, "batches": 4}, lr=None),
    Row("SLS", sls, {"eta_max": 30.0, "reset": "keep", "shrink": 0.7},
        {"most": 30.0, "reset": "keep", "beta": 0.7}, lr=None),
    Row("SLS", sls, {"eta_max": 30.0, "reset": "max", "c": 0.6, "lr": 0.5},
        {"most": 30.0, "reset": "max", "c": 0.6}, lr=0.5),
]  # fmt: skip
EDGES = [
    Row("SLS", sls, {"batches_per_epoch": 1}, {"batches": 1}, lr=None),  # grows into its bound
    Row(searched, sls, {"by": stepsize.SLS()}, {"mu": 0.9}, lr=None, on=UPHILL),
    Row("SLS", sls, {}, {}, lr=None, on=Trap([1.0], [2.0], constant=50.0)),
]  # fmt: skip


SAME = {
    "Armijo's step at its bound": (lambda p: steepest.SLS(p, eta_max=0.001), lambda p: steepest.SGD(p, lr=0.001)),
}
UNITLESS: dict[str, Callable[[int], stepsize.StepSize]] = {
    "SLS": lambda power: stepsize.SLS(eta_max=4.0 * 2.0**-power, shrink=0.5),
}
LENGTHS: dict[str, Callable[[float, Tensor], stepsize.StepSize]] = {
    "SLS": lambda scale, start: stepsize.SLS(eta_max=4.0 * scale**2, shrink=0.5),
}


def test_sls_by_hand() -> None:
    """f = 2‖x‖²: f(x - ηg) = (1 - 4η)² f falls by 0.4 η·8f as long as η ≤ 0.3.  Trials 1, 0.6, 0.36, 0.216: x times
    1 - 0.864; then 2·0.216 = 0.432 and 0.2592: times 1 - 1.0368.
    """
    trail = by_hand(steepest.SLS, {"c": 0.4, "shrink": 0.6, "batches_per_epoch": 1}, sls,
                  {"c": 0.4, "beta": 0.6, "batches": 1}, Quadratic([4, 4], [1.0, -2.0]), [1.0],
                  [(0.136, -0.272), (-0.0050048, 0.0100096)])  # fmt: skip
    assert [len(asked) for asked in trail.asked[:2]] == [1 + 4, 1 + 2]
    assert trail.opt.counters.forwards == sum(len(asked) for asked in trail.asked)
    assert trail.opt.counters.backwards == 8
