"""AdamNC: Adam that averages all squared gradients alike."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import direction as D
from steepest.core.optimizer import Optimizer
from steepest.core.options import Directed
from steepest.optim.registry import method


@method("adaptive")
class AdamNC(Optimizer):
    """AdamNC: Adam with decay rates that change with time, so that no gradient is forgotten.

    Args:
        params: parameters or groups.
        lr: default 1e-3; the paper's theory has it fall as 1/√t, which is for a schedule.
        beta1: decay of the first moment at the first step, default 0.9; in groups it is ``betas``, of one number.
        fade: by what it is multiplied each step, default 1 - 1e-8.
        eps: default 1e-8.
        weight_decay: coupled (an L2 penalty), default 0.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 1e-3, beta1: float = 0.9, fade: float = 1 - 1e-8, eps: float = 1e-8,
                 weight_decay: float = 0.0, **options: Unpack[Directed]) -> None:  # fmt: skip
        inner = D.AdamNC(beta1=beta1, fade=fade, eps=eps)
        super().__init__(params, lr, direction=D.Coupled(inner, weight_decay=weight_decay), **options)
