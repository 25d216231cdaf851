"""NAdam: Adam with Nesterov's look ahead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

import torch

from steepest import direction as D
from steepest.core.optimizer import Optimizer
from steepest.core.options import DirectedTorch
from steepest.optim.betas import Betas, named
from steepest.optim.registry import method


@method("adaptive")
class NAdam(Optimizer):
    """NAdam: Adam with Nesterov's look ahead, as torch.optim.NAdam, with coupled weight decay.

    Checkpoints are torch's: each loads the other's.

    Args:
        params: parameters or groups.
        lr: default 2e-3 (torch).
        betas: default (0.9, 0.999) (torch).
        eps: default 1e-8 (paper).
        weight_decay: coupled (an L2 penalty), default 0.
        momentum_decay: how fast the momentum rises from half of beta1 to beta1, default 4e-3 (torch).
        options: see :class:`steepest.Optimizer`.
    """

    torch_group = {"foreach": None, "capturable": False, "differentiable": False, "decoupled_weight_decay": False}

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        **options: Unpack[DirectedTorch],
    ) -> None:
        inner = D.NAdam(**named(betas), eps=eps, momentum_decay=momentum_decay)
        super().__init__(params, lr, direction=D.Coupled(inner, weight_decay=weight_decay), **options)

    def to_torch(self, entry: dict[str, Any], group: Mapping[str, Any]) -> dict[str, Any]:
        """The product of the momenta as a tensor, as torch keeps it."""
        return {n: torch.tensor(v, dtype=torch.float64) if n == "mu_product" else v for n, v in entry.items()}
