"""ASAM (Kwon et al. 2021, arXiv:2102.11600): a radius in units of each weight."""

from __future__ import annotations

import numpy as np

import steepest
from steepest import point
from tests.oracle.equations import Path, Rates, asks_at, to_radius
from tests.oracle.problems import Problem, Quadratic, Vector
from tests.rows import MOVE, RADIUS, TERMS, Row, Setting

CONTRACT = {
    "ASAM": Setting({"lr": 0.05, "rho": 0.1, "weight_decay": 0.1}, whole=RADIUS),
}


def asam(f: Problem, x: Vector, etas: Rates, rho: float = 0.5, eta: float = 0.01, **move: float) -> Path:
    """arXiv:2102.11600: ρ T² g / ‖T g‖ with T = |x| + η."""

    def lean(g: Vector, x: Vector) -> Vector:
        T = np.abs(x) + eta
        return to_radius(T**2 * g, T * g, rho)

    return asks_at(lean, f, x, etas, **move)


ORACLE = [
    Row("ASAM", asam, {"rho": 0.6, **MOVE}, {"rho": 0.6, **TERMS}),
    Row("ASAM", asam, {"offset": 0.3, "momentum": 0.0}, {"eta": 0.3}),
]  # fmt: skip
EDGES = [
    Row("ASAM", asam, {"offset": 0.0, "rho": 1.0}, {"eta": 0.0, "rho": 1.0, "mu": 0.9},
        on=Quadratic([1, 2, 3], [0.5, 0.0], [-0.1])),  # a weight of zero is not perturbed
]  # fmt: skip


SAME = {
    "ASAM of radius 0": (lambda p: steepest.ASAM(p, rho=0.0), lambda p: steepest.SGD(p, lr=0.1, momentum=0.9)),
}
POINTS = {
    "ASAM": point.ASAM,
}
