"""InfoSAM (Zhang et al. 2025, arXiv:2501.06603)."""

from __future__ import annotations

import steepest
from steepest import point
from tests.oracle.equations import Path, Rates, asks_at, to_radius
from tests.oracle.problems import Problem, Vector
from tests.rows import MOVE, RADIUS, TERMS, Row, Setting

CONTRACT = {
    "InfoSAM": Setting({"lr": 0.05, "rho": 0.1, "alpha": 0.6, "floor": 0.0001, "weight_decay": 0.1}, whole=RADIUS),
}


def info_sam(f: Problem, x: Vector, etas: Rates, rho: float = 0.05, alpha: float = 0.9, eps: float = 1e-12,
             **move: float) -> Path:  # fmt: skip
    """arXiv:2501.06603 as in its authors' code: ρ C g / ‖C g‖, C = 1 / ((m - g)² + ε) with m an average; C = 1 at first."""
    ms: list[Vector] = []

    def lean(g: Vector, x: Vector) -> Vector:
        if not ms:
            ms.append(g)
            return to_radius(g, g, rho)
        ms.append(alpha * ms[-1] + (1 - alpha) * g)
        Cg = g / ((ms[-1] - g) ** 2 + eps)
        return to_radius(Cg, Cg, rho)

    return asks_at(lean, f, x, etas, **move)


ORACLE = [
    Row("InfoSAM", info_sam, {"rho": 0.3, "alpha": 0.6, "floor": 1e-4, **MOVE},
        {"rho": 0.3, "alpha": 0.6, "eps": 1e-4, **TERMS}),
    Row("InfoSAM", info_sam, {"floor": 1e-6, "momentum": 0.0}, {"eps": 1e-6}),
]  # fmt: skip


SAME = {
    "InfoSAM of radius 0": (lambda p: steepest.InfoSAM(p, rho=0.0), lambda p: steepest.SGD(p, lr=0.05, momentum=0.9)),
}
POINTS = {
    "InfoSAM": point.InfoSAM,
}
