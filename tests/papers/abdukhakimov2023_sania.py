"""SANIA (Abdukhakimov et al. 2023, arXiv:2312.17369): Polyak's step in a preconditioner's norm."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

import steepest
from steepest import direction, point, stepsize
from steepest import direction as D
from steepest import solve as S
from tests.oracle.equations import Path, Rates, dot
from tests.oracle.problems import Problem, Separable, Vector
from tests.rows import LOSS, SUMMED, Row, Setting
from tests.solve import table

UNITS = (
    "it is blind to the units of x, in which a guard would measure; with SkipSpikes() by hand it recovers, see below"
)

CONTRACT = {
    "AdaGradSQR": Setting(
        {"eps": 1e-3},
        whole=LOSS,
        uses_loss=True,
        loose={"strides_change_nothing": SUMMED},
        worse={"exploding-0": UNITS, "exploding-5": UNITS, "exploding": UNITS},
    ),
    "AdamSQR": Setting(
        {"decay": 0.9, "eps": 1e-3}, whole=LOSS, uses_loss=True, loose={"strides_change_nothing": SUMMED}
    ),
}


def sania_by_hutchinson(params: Any, **options: Any) -> steepest.Optimizer:
    """SANIA whose preconditioner is an estimate of the Hessian's diagonal."""
    return steepest.Optimizer(params, direction=direction.DiagonalHessian(decay=0.7, floor=0.2),
                              point=point.Hutchinson(seed=3), step_size=stepsize.SANIA(), **options)  # fmt: skip


def sania(f: Problem, x: Vector, etas: Rates, kind: str, b: float = 0.999, floor: float = 0.0, root: bool = False,
          f_star: float = 0.0) -> Path:  # fmt: skip
    """min ½‖w‖²_B subject to f + ⟨g, w⟩ + ½‖w‖²_B ≤ f*, with B = Σ g² or its corrected average."""
    s = 0 * x
    for t, eta in enumerate(etas, 1):
        g, here = f.grad(x, t), f.loss(x, t)
        s = s + g**2 if kind == "sum" else b * s + (1 - b) * g**2
        B = np.maximum(s if kind == "sum" else s / (1 - b**t), floor)
        B = np.sqrt(B) if root else B
        d = np.divide(g, B, out=np.zeros_like(g), where=B > 0)
        if dot(g, d) > 0:
            nu = 2 * max(here - f_star, 0.0) / dot(g, d)
            lam = 1 - math.sqrt(1 - nu) if nu <= 1 else 1.0
            x = x - eta * lam * d
        yield x


def sania_hutchinson(f: Separable, x: Vector, etas: Rates, beta: float = 0.999, alpha: float = 0.1) -> Path:
    """arXiv:2312.17369 with B = max(|D|, α); z ⊙ Hz is the diagonal itself where H is diagonal, whatever the signs."""
    D = f.curvature(x)
    for t, lr in enumerate(etas, 1):
        D = beta * D + (1 - beta) * f.curvature(x) if t > 1 else D
        g, B = f.grad(x, t), np.maximum(np.abs(D), alpha)
        slope = dot(g, g / B)
        nu = 2 * f.loss(x, t) / slope if slope else 0.0
        x = x - lr * (1 - math.sqrt(1 - nu) if nu <= 1 else 1.0) * g / B
        yield x


ORACLE = [
    Row("AdaGradSQR", sania, {"eps": 1e-6}, {"kind": "sum", "floor": 1e-6}, lr=0.1),
    Row("AdaGradSQR", sania, {"root": True, "f_star": 0.05, "eps": 1e-3},
        {"kind": "sum", "root": True, "f_star": 0.05, "floor": 1e-3}, lr=1.0),
    Row("AdamSQR", sania, {"decay": 0.9}, {"kind": "mean", "b": 0.9}, lr=1.0),
    Row("AdamSQR", sania, {"decay": 0.8, "root": True, "eps": 1e-4},
        {"kind": "mean", "b": 0.8, "root": True, "floor": 1e-4}, lr=0.5),
    Row(sania_by_hutchinson, sania_hutchinson, terms={"beta": 0.7, "alpha": 0.2}, lr=0.8,
        on=Separable([1.0, 30.0, 3.0, 0.01], [1.0, 2.0], [-0.5, 3.0])),
]  # fmt: skip


DIRECTIONS = {
    "AdaGrad-SQR": D.AdaGradSQR,
    "Adam-SQR": D.AdamSQR,
}
SCALE_FREE = {
    "AdaGrad-SQR rooted": lambda: D.AdaGradSQR(root=True),
    "RMSprop": lambda: D.AdamSQR(root=True),
}


# ---- the full Hessian as the preconditioner ----------------------------------------------------------------------------

SOLVERS = {
    "SANIANewton": table.Row(
        S.SANIANewton,
        table.smooth,
        bad=lambda: (S.SANIANewton(), table.smooth(torch.float64, f=table.spoiled(table.mean))),
        goal={"residual": 1e-6},
        steps=30,
    )
}


def test_newton_by_hand() -> None:
    """f = √(1 + x²) - 1 at √3, where Newton's step goes to -3√3: ν = 1/3, d = 4√3, λ = 1 - √(2/3)."""
    problem = S.Smooth(lambda x: (1 + x * x).sqrt().sum() - 1, torch.tensor([math.sqrt(3)], dtype=torch.float64))
    solver = S.SANIANewton()
    state = solver.step(problem, solver.init(problem))
    assert float(state.x) == pytest.approx(math.sqrt(3) * (1 - 4 * (1 - math.sqrt(2 / 3))), abs=1e-14)
    assert solver.measure(problem, state)["step_size"] == pytest.approx(1 - math.sqrt(2 / 3), abs=1e-15)


def test_newton_follows_the_equations_in_any_coordinates() -> None:
    """In numpy with the whole Hessian of Σ √(1 + (Ax - b)²) - 1; the same path, mapped, after a change of coordinates."""
    r = np.random.default_rng(0)
    A, x = r.normal(size=(9, 4)), r.normal(size=4) * 3
    b = A @ r.normal(size=4)  # fits exactly, f* = 0
    T = r.normal(size=(4, 4))
    At, bt, Tt = (torch.from_numpy(v) for v in (A, b, T))

    def f(x: torch.Tensor) -> torch.Tensor:
        square = (At @ x - bt) ** 2
        return (square / ((1 + square).sqrt() + 1)).sum()  # the same without cancellation

    solver = S.SANIANewton(tolerance=1e-14)
    plain, turned = (S.Smooth(g, torch.from_numpy(start)) for g, start in
                     ((f, x), (lambda z: f(Tt @ z), np.linalg.solve(T, x))))  # fmt: skip
    one, two, steps = solver.init(plain), solver.init(turned), []
    for _ in range(8):
        e = A @ x - b
        root = np.sqrt(1 + e * e)
        value, g, H = (e * e / (root + 1)).sum(), A.T @ (e / root), A.T @ (A / root[:, None] ** 3)
        d = np.linalg.solve(H, g)
        nu = 2 * value / (g @ d)
        steps.append(nu)
        x = x - (1 - math.sqrt(1 - nu) if nu <= 1 else 1.0) * d
        one, two = solver.step(plain, one), solver.step(turned, two)
        assert np.abs(one.x.numpy() - x).max() < 1e-9
        assert np.abs(T @ two.x.numpy() - x).max() < 1e-7
    assert min(steps) < 0.9  # both branches were taken
    assert max(steps) > 1
