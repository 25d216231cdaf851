"""Rows of the oracle for methods that search for more than one step size, as arguments of ``rows.Row``."""

from __future__ import annotations

from typing import Any

from tests.oracle.papers_solve import multidimensional
from tests.oracle.problems import Quadratic

BOX: dict[str, Any] = {"make": "BoxBacktracking", "paper": multidimensional}
ELLIPSOID: dict[str, Any] = {"make": "EllipsoidBacktracking", "paper": multidimensional}
BOWL = Quadratic([1.0, 100.0, 3.0, 0.01], [1.0, 2.0], [-0.5, 3.0])

ROWS: list[dict[str, Any]] = [
    {**BOX, "hyper": {"c0": 1e3}, "terms": {"c0": 1e3}, "lr": None},
    {**BOX, "hyper": {"c0": 30.0}, "terms": {"c0": 30.0}, "lr": 0.5},
    {**ELLIPSOID, "hyper": {"c0": 1e3}, "terms": {"c0": 1e3, "ellipsoid": True}, "lr": None},
    {**ELLIPSOID, "hyper": {"c0": 30.0}, "terms": {"c0": 30.0, "ellipsoid": True}, "lr": 0.8},
]

EDGES: list[dict[str, Any]] = [
    {**BOX, "hyper": {"c0": 10.0}, "terms": {"c0": 10.0}, "lr": None, "on": BOWL},
    {**ELLIPSOID, "hyper": {"c0": 10.0}, "terms": {"c0": 10.0, "ellipsoid": True}, "lr": None, "on": BOWL},
    {**ELLIPSOID, "terms": {"ellipsoid": True}, "lr": None, "on": Quadratic([7.0], [2.0])},
]
