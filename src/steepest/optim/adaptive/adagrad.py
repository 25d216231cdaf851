"""AdaGrad, as torch has it."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import direction as D
from steepest.core.optimizer import Optimizer
from steepest.core.options import DirectedTorch
from steepest.core.stored import count
from steepest.optim.registry import method


@method("adaptive")
class AdaGrad(Optimizer):
    """AdaGrad, as torch.optim.Adagrad, with coupled weight decay.

    Checkpoints are torch's: each loads the other's.

    Args:
        params: parameters or groups.
        lr: default 0.01 (torch).
        lr_decay: a further decay in 1/t, default 0.
        weight_decay: coupled (an L2 penalty), default 0.
        initial_accumulator_value: default 0.
        eps: default 1e-10 (torch).
        options: see :class:`steepest.Optimizer`.
    """

    torch_group = {"foreach": None, "differentiable": False, "fused": None}

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        **options: Unpack[DirectedTorch],
    ) -> None:
        inner = D.AdaGrad(eps=eps, lr_decay=lr_decay, initial_accumulator_value=initial_accumulator_value)
        super().__init__(params, lr, direction=D.Coupled(inner, weight_decay=weight_decay), **options)

    def from_torch(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Torch makes state before the first step, too, which ours makes at the first step."""
        return {} if count(entry.get("step")) is None and entry["step"] == 0 else entry
