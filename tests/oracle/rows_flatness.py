"""Rows of the oracle's table for methods that ask for the gradient at a point nearby."""

from __future__ import annotations

from typing import Any

import steepest
from steepest import direction as D
from steepest import point
from tests.oracle import papers_flatness as papers
from tests.oracle.problems import Quadratic
from tests.rows import Row


def pre_sam(params: Any, **options: Any) -> steepest.Optimizer:
    """preSAM with C = 1, which is SAM."""
    return steepest.Optimizer(params, direction=D.Momentum(momentum=0.8), point=point.PreSAM(rho=0.3), **options)


MOVE = {"momentum": 0.8, "weight_decay": 0.1}
TERMS = {"mu": 0.8, "lam": 0.1}

ROWS: list[Row] = [
    Row(pre_sam, papers.sam, {}, {"rho": 0.3, "mu": 0.8}),
    Row("InfoSAM", papers.info_sam, {"rho": 0.3, "alpha": 0.6, "floor": 1e-4, **MOVE},
        {"rho": 0.3, "alpha": 0.6, "eps": 1e-4, **TERMS}),
    Row("InfoSAM", papers.info_sam, {"floor": 1e-6, "momentum": 0.0}, {"eps": 1e-6}),
    Row("ASAM", papers.asam, {"rho": 0.6, **MOVE}, {"rho": 0.6, **TERMS}),
    Row("ASAM", papers.asam, {"offset": 0.3, "momentum": 0.0}, {"eta": 0.3}),
    Row("VaSSO", papers.vasso, {"rho": 0.3, "theta": 0.4, **MOVE}, {"rho": 0.3, "theta": 0.4, **TERMS}),
    Row("VaSSO", papers.vasso, {"rho": 0.7, "momentum": 0.0}, {"rho": 0.7}),
    Row("VaSSO", papers.sam, {"rho": 0.3, "theta": 1.0, "momentum": 0.8}, {"rho": 0.3, "mu": 0.8}),
    Row("FSAM", papers.fisher_sam, {"rho": 0.5, "sparsity": 0.6, "every": 5, **MOVE},
        {"rho": 0.5, "s": 0.6, "every": 5, **TERMS}),
    Row("FSAM", papers.fisher_sam, {"rho": 0.9, "momentum": 0.0}, {"rho": 0.9}),
    Row("FSAM", papers.sam, {"rho": 0.3, "sparsity": 0.0, "momentum": 0.8}, {"rho": 0.3, "mu": 0.8}),
    Row("FGR", papers.penalty, {"strength": 0.4, "ascent": 0.2, **MOVE}, {"gamma": 0.4, "eps": 0.2, **TERMS}),
    Row("FGR", papers.penalty, {"strength": 0.4, "side": "backward", "momentum": 0.0},
        {"gamma": 0.4, "side": "backward"}),
    Row("FGR", papers.penalty, {"ascent": 0.3, "strength": 2.0, "side": "centred", "momentum": 0.0},
        {"gamma": 2.0, "eps": 0.3, "side": "centred"}),
    Row("FGR", papers.penalty, {"strength": 0.4, "side": "exact", **MOVE},
        {"gamma": 0.4, "side": "centred", "eps": 1.0, **TERMS},
        on=Quadratic([1, 3, 2, 0.5], [0.7, -0.2], [1.1, 0.4])),  # where differences are exact; laws have other losses
    Row("GAM", papers.gam, {"rho": 0.4, "ascent": 0.1, "tilt": 0.3, **MOVE},
        {"rho": 0.4, "rho_prime": 0.1, "gamma": 0.3, **TERMS}),
    Row("GAM", papers.gam, {"alpha": 0.3, "blend": 0.1, "tilt": 0.1, "momentum": 0.0},
        {"alpha": 0.3, "beta": 0.1, "gamma": 0.1}),
    Row("GAM", papers.gam, {"alpha": 0.3, "blend": 0.1, "tilt": 0.1, "momentum": 0.0, "whole": True},
        {"alpha": 0.3, "beta": 0.1, "gamma": 0.1, "code": True}),
]  # fmt: skip

EDGES: list[Row] = [
    Row("ASAM", papers.asam, {"offset": 0.0, "rho": 1.0}, {"eta": 0.0, "rho": 1.0, "mu": 0.9},
        on=Quadratic([1, 2, 3], [0.5, 0.0], [-0.1])),  # a weight of zero is not perturbed
]  # fmt: skip
