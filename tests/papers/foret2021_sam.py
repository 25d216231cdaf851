"""SAM (Foret et al. 2021, arXiv:2010.01412)."""

from __future__ import annotations

import math

import steepest
from steepest import point
from tests.oracle.equations import Path, Rates, dot
from tests.oracle.problems import Problem, Quadratic, Vector
from tests.rows import RADIUS, Hand, Row, Setting

CONTRACT = {
    "SAM": Setting({"lr": 0.05, "rho": 0.1, "weight_decay": 0.1}, whole=RADIUS),
}


def sam(f: Problem, x: Vector, etas: Rates, rho: float = 0.05, mu: float = 0.9, lam: float = 0.0) -> Path:
    buf = 0 * x
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t)
        norm = math.sqrt(dot(g, g))
        e = rho * g / norm if norm > 0 else 0 * g
        buf = mu * buf + f.grad(x + e, t) + lam * x
        x = x - eta * buf
        yield x


ORACLE = [
    Row("SAM", sam, {"rho": 0.3, "momentum": 0.8, "weight_decay": 0.1}, {"rho": 0.3, "mu": 0.8, "lam": 0.1}),
]  # fmt: skip
HANDS = [
    # g = (3, 4), e = (0.3, 0.4), g(x + e) = (3.3, 4.8); then x = (0, -26/11), e = (0, -0.5), g(x + e) = (0, -63/11),
    # m = (1.65, 2.4 - 63/11)
    Hand("SAM", steepest.SAM, {"rho": 0.5, "momentum": 0.5}, sam, {"rho": 0.5, "mu": 0.5},
         Quadratic([1, 2], [3.0, 2.0]), [10 / 11, 0.1], [(0, -26 / 11), (-0.165, -22.34 / 11)]),
]  # fmt: skip


POINTS = {
    "SAM": point.SAM,
}
SAME = {
    "SAM of radius 0": (lambda p: steepest.SAM(p, rho=0.0), lambda p: steepest.SGD(p, lr=0.1, momentum=0.9)),
}
