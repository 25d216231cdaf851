"""preSAM (Zhang et al. 2025): SAM in preconditioned coordinates; with C = 1 it is SAM."""

from __future__ import annotations

from typing import Any

import steepest
from steepest import direction as D
from steepest import point
from tests.laws.common import over_sgd
from tests.oracle.equations import sam
from tests.rows import Row


def pre_sam(params: Any, **options: Any) -> steepest.Optimizer:
    """preSAM with C = 1, which is SAM."""
    return steepest.Optimizer(params, direction=D.Momentum(momentum=0.8), point=point.PreSAM(rho=0.3), **options)


ORACLE = [
    Row(pre_sam, sam, {}, {"rho": 0.3, "mu": 0.8}),
]  # fmt: skip


SAME = {
    "preSAM with C = 1": (over_sgd(point.PreSAM(rho=0.3)), over_sgd(point.SAM(rho=0.3))),
}
