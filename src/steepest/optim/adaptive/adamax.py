"""AdaMax, as torch has it."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import direction as D
from steepest.core.optimizer import Optimizer
from steepest.core.options import DirectedTorch
from steepest.optim.betas import Betas, named
from steepest.optim.registry import method


@method("adaptive")
class AdaMax(Optimizer):
    """AdaMax: Adam with the maximum norm, as torch.optim.Adamax, with coupled weight decay.

    Checkpoints are torch's: each loads the other's.

    Args:
        params: parameters or groups.
        lr: default 2e-3 (paper).
        betas: default (0.9, 0.999) (paper).
        eps: default 1e-8 (torch; the paper has none).
        weight_decay: coupled (an L2 penalty), default 0.
        options: see :class:`steepest.Optimizer`.
    """

    torch_group = {"foreach": None, "capturable": False, "differentiable": False}

    def __init__(self, params: Any, lr: float = 2e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0.0, **options: Unpack[DirectedTorch]) -> None:  # fmt: skip
        inner = D.AdaMax(**named(betas), eps=eps)
        super().__init__(params, lr, direction=D.Coupled(inner, weight_decay=weight_decay), **options)
