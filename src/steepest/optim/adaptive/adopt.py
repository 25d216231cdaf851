"""ADOPT: Adam that converges for every beta2."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import direction as D
from steepest.core.optimizer import Optimizer
from steepest.core.options import Decayed
from steepest.geometry import Decay
from steepest.optim.betas import Betas, named
from steepest.optim.registry import method


@method("adaptive")
class ADOPT(Optimizer):
    """ADOPT: Adam that converges for every beta2.

    Args:
        params: parameters or groups.
        lr: default 1e-3 (paper).
        betas: default (0.9, 0.9999) (paper).
        eps: floor of the root of the second moment, default 1e-6 (paper).
        weight_decay: decoupled, default 0.
        clip: default True (the paper's Algorithm 2).
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 1e-3, betas: Betas = (0.9, 0.9999), eps: float = 1e-6,
                 weight_decay: float = 0.0, clip: bool = True, **options: Unpack[Decayed]) -> None:  # fmt: skip
        inner = D.Adopt(**named(betas), eps=eps, clip=clip)
        super().__init__(params, lr, direction=inner, geometry=Decay(weight_decay=weight_decay), **options)
