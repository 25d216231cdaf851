"""RMSprop, as torch has it."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import direction as D
from steepest.core.optimizer import Optimizer
from steepest.core.options import DirectedTorch
from steepest.core.part import check_number
from steepest.optim.registry import method


@method("adaptive")
class RMSprop(Optimizer):
    """RMSprop, as torch.optim.RMSprop, with coupled weight decay.

    Checkpoints are torch's: each loads the other's.

    Args:
        params: parameters or groups.
        lr: default 1e-2 (torch).
        alpha: decay of the second moment, default 0.99 (torch).
        eps: default 1e-8 (torch).
        weight_decay: coupled (an L2 penalty), default 0.
        momentum: of a heavy ball around the scaled gradient, default 0: no state for it.
        centered: divide by the standard deviation, default False.
        options: see :class:`steepest.Optimizer`.

    Raises:
        TypeError: centered is not a bool.
    """

    torch_group = {"foreach": None, "capturable": False, "differentiable": False, "momentum": 0, "centered": False}

    def __init__(self, params: Any, lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8, weight_decay: float = 0.0,
                 momentum: float = 0.0, centered: bool = False, **options: Unpack[DirectedTorch]) -> None:  # fmt: skip
        if not isinstance(centered, bool):
            raise TypeError(f"centered must be True or False, got {centered!r}")
        self.torch_group = {**self.torch_group, "centered": centered}
        inner: D.Direction = (D.CenteredRMSprop if centered else D.RMSprop)(alpha=alpha, eps=eps)
        if check_number("RMSprop", "momentum", momentum, "[0, 1)"):
            inner = D.HeavyBall(inner, momentum=momentum)
        super().__init__(params, lr, direction=D.Coupled(inner, weight_decay=weight_decay), **options)
