"""Methods that save memory or bandwidth."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import direction as D
from steepest.channel import TopK
from steepest.chart import LowRank, Split
from steepest.chart.lowrank import Projection
from steepest.core.optimizer import Optimizer
from steepest.core.options import Charted, Sent
from steepest.geometry import Decay
from steepest.optim.adaptive import Betas, named
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
        projection: "svd" (paper), "random" or "columns".
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
        projection: "columns", "random" or "svd".
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


@method("distributed", state_bytes=4.0, space={"lr": ("log", 1e-4, 10.0)})
class CompressedSGD(Optimizer):
    """SGD on the largest entries of gradient plus memory (error feedback).

    Args:
        params: parameters or groups.
        lr: default 1e-2.
        keep: part of the entries that is sent, default 0.01.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 1e-2, keep: float = 0.01, **options: Unpack[Sent]) -> None:
        super().__init__(params, lr, channel=TopK(keep), **options)
