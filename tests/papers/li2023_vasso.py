"""VaSSO (Li & Giannakis 2023, arXiv:2309.15639): SAM along an average of gradients."""

from __future__ import annotations

import steepest
from steepest import point
from tests.oracle.equations import Path, Rates, asks_at, sam, to_radius
from tests.oracle.problems import Problem, Vector
from tests.rows import MOVE, RADIUS, TERMS, Row, Setting

CONTRACT = {
    "VaSSO": Setting({"lr": 0.05, "rho": 0.1, "theta": 0.4, "weight_decay": 0.1}, whole=RADIUS),
}


def vasso(f: Problem, x: Vector, etas: Rates, rho: float = 0.05, theta: float = 0.9, **move: float) -> Path:
    """arXiv:2309.15639: ρ d / ‖d‖ with d ← (1 - θ) d + θ g, beginning with the first g."""
    ds: list[Vector] = []

    def lean(g: Vector, x: Vector) -> Vector:
        ds.append((1 - theta) * ds[-1] + theta * g if ds else g)
        return to_radius(ds[-1], ds[-1], rho)

    return asks_at(lean, f, x, etas, **move)


ORACLE = [
    Row("VaSSO", vasso, {"rho": 0.3, "theta": 0.4, **MOVE}, {"rho": 0.3, "theta": 0.4, **TERMS}),
    Row("VaSSO", vasso, {"rho": 0.7, "momentum": 0.0}, {"rho": 0.7}),
    Row("VaSSO", sam, {"rho": 0.3, "theta": 1.0, "momentum": 0.8}, {"rho": 0.3, "mu": 0.8}),
]  # fmt: skip


SAME = {
    "VaSSO of radius 0": (lambda p: steepest.VaSSO(p, rho=0.0), lambda p: steepest.SGD(p, lr=0.05, momentum=0.9)),
    "VaSSO that forgets": (lambda p: steepest.VaSSO(p, lr=0.1, theta=1.0), steepest.SAM),
}
POINTS = {
    "VaSSO": point.VaSSO,
}
