"""Rows of the oracle for methods that search for more than one step size, or ask for curvature, as arguments of ``Row``."""

from __future__ import annotations

from typing import Any

import steepest
from steepest import direction, point, stepsize
from tests.oracle.papers_solve import multidimensional, sania_hutchinson
from tests.oracle.problems import Quadratic, Separable


def sania_by_hutchinson(params: Any, **options: Any) -> steepest.Optimizer:
    """SANIA whose preconditioner is an estimate of the Hessian's diagonal."""
    return steepest.Optimizer(params, direction=direction.DiagonalHessian(decay=0.7, floor=0.2),
                              point=point.Hutchinson(seed=3), step_size=stepsize.SANIA(), **options)  # fmt: skip


BOX: dict[str, Any] = {"make": "BoxBacktracking", "paper": multidimensional}
ELLIPSOID: dict[str, Any] = {"make": "EllipsoidBacktracking", "paper": multidimensional}
BOWL = Quadratic([1.0, 100.0, 3.0, 0.01], [1.0, 2.0], [-0.5, 3.0])

ROWS: list[dict[str, Any]] = [
    {**BOX, "hyper": {"c0": 1e3}, "terms": {"c0": 1e3}, "lr": None},
    {**BOX, "hyper": {"c0": 30.0}, "terms": {"c0": 30.0}, "lr": 0.5},
    {**ELLIPSOID, "hyper": {"c0": 1e3}, "terms": {"c0": 1e3, "ellipsoid": True}, "lr": None},
    {**ELLIPSOID, "hyper": {"c0": 30.0}, "terms": {"c0": 30.0, "ellipsoid": True}, "lr": 0.8},
    {
        "make": sania_by_hutchinson,
        "paper": sania_hutchinson,
        "terms": {"beta": 0.7, "alpha": 0.2},
        "lr": 0.8,
        "on": Separable([1.0, 30.0, 3.0, 0.01], [1.0, 2.0], [-0.5, 3.0]),
    },
]

EDGES: list[dict[str, Any]] = [
    {**BOX, "hyper": {"c0": 10.0}, "terms": {"c0": 10.0}, "lr": None, "on": BOWL},
    {**ELLIPSOID, "hyper": {"c0": 10.0}, "terms": {"c0": 10.0, "ellipsoid": True}, "lr": None, "on": BOWL},
    {**ELLIPSOID, "terms": {"ellipsoid": True}, "lr": None, "on": Quadratic([7.0], [2.0])},
]
