"""SWATS: from Adam to SGD."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import direction as D
from steepest import stepsize
from steepest.core.optimizer import Optimizer
from steepest.core.options import SizedDecayed
from steepest.geometry import Decay
from steepest.optim.betas import Betas, named
from steepest.optim.registry import method


@method("adaptive")
class SWATS(Optimizer):
    """SWATS: Adam that switches to SGD with momentum once the learning rate that SGD would need has settled.

    Args:
        params: parameters or groups.
        lr: of Adam, default 1e-3 (paper).
        betas: default (0.9, 0.999) (paper).
        eps: of Adam, default 1e-8.
        settled: how near the mean learning rate of SGD is to the latest at the switch, default 1e-9 (paper).
        weight_decay: decoupled, default 0: a coupled one would not be seen by the comparison.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 1e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-8,
                 settled: float = 1e-9, weight_decay: float = 0.0, **options: Unpack[SizedDecayed]) -> None:  # fmt: skip
        direction, size = D.SwitchedAdam(**named(betas), eps=eps), stepsize.SWATS(settled=settled)
        decay = Decay(weight_decay=weight_decay)
        super().__init__(params, lr, direction=direction, step_size=size, geometry=decay, **options)
