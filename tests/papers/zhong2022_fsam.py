"""Fisher SAM (Zhong et al. 2022, arXiv:2210.05497): SAM in few weights."""

from __future__ import annotations

import numpy as np

import steepest
from steepest import point
from tests.oracle.equations import Path, Rates, asks_at, sam, to_radius
from tests.oracle.problems import Problem, Vector
from tests.rows import MOVE, RADIUS, TERMS, Row, Setting

CONTRACT = {
    "FSAM": Setting(
        {"lr": 0.05, "rho": 0.1, "sparsity": 0.6, "every": 3, "weight_decay": 0.1},
        whole=RADIUS,
        exceptions={
            "rounding_differs_between_steps_and_tensors": "its mask is 0 or 1, which every codec keeps exactly"
        },
    ),
}


def fisher_sam(f: Problem, x: Vector, etas: Rates, rho: float = 0.05, s: float = 0.9, every: int = 100,
               **move: float) -> Path:  # fmt: skip
    """arXiv:2210.05497 as in the authors' code: ρ g / ‖g‖, in the n (1 - s) weights where g² is largest."""
    mask, t = np.ones_like(x), 0

    def lean(g: Vector, x: Vector) -> Vector:
        nonlocal mask, t
        if t % every == 0 and g.any():
            mask = np.zeros_like(g)
            mask[np.argsort(-(g**2))[: g.size - round(g.size * s)]] = 1
        t += 1
        return to_radius(g, g, rho) * mask

    return asks_at(lean, f, x, etas, **move)


ORACLE = [
    Row("FSAM", fisher_sam, {"rho": 0.5, "sparsity": 0.6, "every": 5, **MOVE},
        {"rho": 0.5, "s": 0.6, "every": 5, **TERMS}),
    Row("FSAM", fisher_sam, {"rho": 0.9, "momentum": 0.0}, {"rho": 0.9}),
    Row("FSAM", sam, {"rho": 0.3, "sparsity": 0.0, "momentum": 0.8}, {"rho": 0.3, "mu": 0.8}),
]  # fmt: skip


SAME = {
    "FSAM without a mask": (lambda p: steepest.FSAM(p, sparsity=0.0), steepest.SAM),
    "FSAM of radius 0": (lambda p: steepest.FSAM(p, rho=0.0), lambda p: steepest.SGD(p, lr=0.1, momentum=0.9)),
}
POINTS = {
    "FSAM": lambda **given: point.FSAM(sparsity=0.0, **given),
}
