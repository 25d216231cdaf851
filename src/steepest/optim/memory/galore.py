"""GaLore: Adam in the leading singular vectors of the gradient."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import direction as D
from steepest.chart import LowRank
from steepest.chart.lowrank import Projection
from steepest.core.optimizer import Optimizer
from steepest.core.options import Charted
from steepest.geometry import Decay
from steepest.optim.betas import Betas, named
from steepest.optim.registry import method


@method("memory", space={"lr": ("log", 1e-4, 1.0)})
class GaLore(Optimizer):
    """GaLore: AdamW whose moments live in a low-rank subspace of each matrix.

    ``state_bytes`` of the table is the bound for parameters that are not projected; an m x n matrix with m <= n keeps
    8 r n + 4 r m bytes.

    Args:
        params: parameters or groups.
        lr: default 0.01 (paper).
        rank: default 128 (paper, smallest model).
        every: steps between new subspaces, default 200 (paper).
        scale: default 0.25 (paper).
        projection: "svd" (paper), "svd_lowrank" (faster, nearly the same), "random" or "columns".
        betas: default (0.9, 0.999).
        eps: default 1e-6 (authors' code).
        weight_decay: decoupled, default 0.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 0.01,
        rank: int = 128,
        every: int = 200,
        scale: float = 0.25,
        projection: Projection = "svd",
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        **options: Unpack[Charted],
    ) -> None:
        chart = LowRank(rank=rank, every=every, scale=scale, projection=projection)
        super().__init__(params, lr, direction=D.Adam(**named(betas), eps=eps), chart=chart,
                         geometry=Decay(weight_decay=weight_decay), **options)  # fmt: skip
