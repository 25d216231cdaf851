"""Adadelta, as torch has it."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import direction as D
from steepest.core.optimizer import Optimizer
from steepest.core.options import DirectedTorch
from steepest.optim.registry import method


@method("adaptive", space={"lr": ("log", 1e-2, 100.0), "eps": ("log", 1e-10, 1e-2)})
class Adadelta(Optimizer):
    """Adadelta, as torch.optim.Adadelta, with coupled weight decay.

    Checkpoints are torch's: each loads the other's.

    Args:
        params: parameters or groups.
        lr: default 1 (paper).
        rho: decay of both averages, default 0.9 (torch; the paper has 0.95).
        eps: default 1e-6 (paper).
        weight_decay: coupled (an L2 penalty), default 0.
        options: see :class:`steepest.Optimizer`.
    """

    torch_group = {"foreach": None, "capturable": False, "differentiable": False}

    def __init__(self, params: Any, lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0.0,
                 **options: Unpack[DirectedTorch]) -> None:  # fmt: skip
        inner = D.Adadelta(rho=rho, eps=eps)
        super().__init__(params, lr, direction=D.Coupled(inner, weight_decay=weight_decay), **options)
