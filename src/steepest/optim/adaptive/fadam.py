"""FAdam: natural gradient descent with a diagonal empirical Fisher matrix."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import direction as D
from steepest.core.optimizer import Optimizer
from steepest.core.options import Directed
from steepest.optim.betas import Betas, named
from steepest.optim.registry import method


@method("adaptive")
class FAdam(Optimizer):
    """FAdam (Fisher Adam): momentum over clipped natural gradients, and natural weight decay.

    Args:
        params: parameters or groups.
        lr: default 1e-3 (paper).
        betas: default (0.9, 0.999) (paper).
        eps: default 1e-8 (paper).
        eps2: the largest part of the gradient's root mean square that eps may be, default 0.01 (paper).
        power: of the Fisher matrix, default ½ (paper).
        clip: the largest root mean square of a natural gradient, default 1 (paper).
        weight_decay: of x divided like the gradient, default 1e-3 (paper).
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 1e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-8,
                 eps2: float = 0.01, power: float = 0.5, clip: float = 1.0, weight_decay: float = 1e-3,
                 **options: Unpack[Directed]) -> None:  # fmt: skip
        inner = D.FAdam(**named(betas), eps=eps, eps2=eps2, power=power, clip=clip, weight_decay=weight_decay)
        super().__init__(params, lr, direction=inner, **options)
