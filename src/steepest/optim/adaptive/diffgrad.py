"""diffGrad: Adam that goes half as far where the gradient stands still."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import direction as D
from steepest.core.optimizer import Optimizer
from steepest.core.options import Directed
from steepest.optim.betas import Betas, named
from steepest.optim.registry import method


@method("adaptive")
class DiffGrad(Optimizer):
    """diffGrad: Adam whose step is up to twice as long where the gradient changes.

    Args:
        params: parameters or groups.
        lr: default 1e-3 (paper).
        betas: default (0.9, 0.999) (paper).
        eps: default 1e-8 (paper).
        weight_decay: coupled (an L2 penalty), default 0.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 1e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0.0, **options: Unpack[Directed]) -> None:  # fmt: skip
        inner = D.DiffGrad(**named(betas), eps=eps)
        super().__init__(params, lr, direction=D.Coupled(inner, weight_decay=weight_decay), **options)
