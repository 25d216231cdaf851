"""RAdam, as torch has it."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import direction as D
from steepest.core.optimizer import Optimizer
from steepest.core.options import DirectedTorch
from steepest.optim.betas import Betas, named
from steepest.optim.registry import method


@method("adaptive")
class RAdam(Optimizer):
    """RAdam: Adam with a rectified scaling in place of a warm-up, as torch.optim.RAdam, with coupled weight decay.

    Checkpoints are torch's: each loads the other's.

    Args:
        params: parameters or groups.
        lr: default 1e-3 (torch).
        betas: default (0.9, 0.999) (paper).
        eps: default 1e-8 (torch).
        weight_decay: coupled (an L2 penalty), default 0.
        options: see :class:`steepest.Optimizer`.
    """

    torch_group = {"foreach": None, "capturable": False, "differentiable": False, "decoupled_weight_decay": False}

    def __init__(self, params: Any, lr: float = 1e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0.0, **options: Unpack[DirectedTorch]) -> None:  # fmt: skip
        inner = D.RAdam(**named(betas), eps=eps)
        super().__init__(params, lr, direction=D.Coupled(inner, weight_decay=weight_decay), **options)
