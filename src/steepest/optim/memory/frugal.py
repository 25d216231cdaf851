"""FRUGAL: state in a few columns, signs in the rest."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import direction as D
from steepest.chart import Split
from steepest.chart.lowrank import Projection
from steepest.core.optimizer import Optimizer
from steepest.core.options import Charted
from steepest.geometry import Decay
from steepest.optim.betas import Betas, named
from steepest.optim.registry import method


@method("memory")
class FRUGAL(Optimizer):
    """FRUGAL: AdamW inside a subspace of each matrix, sign descent without state in the rest.

    ``state_bytes`` of the table is the bound for parameters that are not projected; an m x n matrix with m <= n keeps
    8 r n + 8 r bytes.

    Args:
        params: parameters or groups.
        lr: default 1e-3 (paper).
        rank: rows or columns with state, default 128.
        every: steps between new subspaces, default 200 (paper).
        rest: learning rate of the sign part relative to lr, default 1 (paper, pre-training).
        projection: "columns", "random", "svd" or "svd_lowrank".
        betas: default (0.9, 0.999).
        eps: default 1e-8.
        weight_decay: decoupled, default 0.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 1e-3, rank: int = 128, every: int = 200, rest: float = 1.0,
                 projection: Projection = "columns", betas: Betas = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0.0, **options: Unpack[Charted]) -> None:  # fmt: skip
        chart = Split(D.Sign(), rank=rank, every=every, rest=rest, projection=projection)
        super().__init__(params, lr, direction=D.Adam(**named(betas), eps=eps), chart=chart,
                         geometry=Decay(weight_decay=weight_decay), **options)  # fmt: skip
