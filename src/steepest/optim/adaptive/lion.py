"""Lion: the sign of a mix of momentum and gradient."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import direction as D
from steepest.core.optimizer import Optimizer
from steepest.core.options import Decayed
from steepest.geometry import Decay
from steepest.optim.betas import Betas, named
from steepest.optim.registry import method


@method("adaptive", space={"lr": ("log", 1e-6, 0.1)})
class Lion(Optimizer):
    """Lion: the sign of a mix of momentum and gradient; one state per parameter.

    Args:
        params: parameters or groups.
        lr: default 1e-4 (paper).
        betas: default (0.9, 0.99) (paper).
        weight_decay: decoupled, default 0.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 1e-4, betas: Betas = (0.9, 0.99), weight_decay: float = 0.0,
                 **options: Unpack[Decayed]) -> None:  # fmt: skip
        inner = D.Lion(**named(betas))
        super().__init__(params, lr, direction=inner, geometry=Decay(weight_decay=weight_decay), **options)
