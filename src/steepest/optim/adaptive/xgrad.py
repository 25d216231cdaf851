"""XGrad: SGD with momentum and AdamW whose gradients are those of predicted weights."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import direction as D
from steepest import point
from steepest.core.optimizer import Optimizer
from steepest.core.options import PointedDecayed, PointedDirected
from steepest.geometry import Decay
from steepest.optim.betas import Betas, named
from steepest.optim.registry import method


@method("adaptive")
class XGradSGD(Optimizer):
    """SGD with momentum, evaluated where the buffer would lead once more.

    Args:
        params: parameters or groups.
        lr: default 1e-2 (paper).
        momentum: default 0.9 (paper).
        weight_decay: coupled (an L2 penalty), default 0.
        ahead: steps to predict, default 1 (paper).
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 1e-2, momentum: float = 0.9, weight_decay: float = 0.0, ahead: float = 1.0,
                 **options: Unpack[PointedDirected]) -> None:  # fmt: skip
        inner = D.Coupled(D.Momentum(momentum=momentum), weight_decay=weight_decay)
        super().__init__(params, lr, direction=inner, point=point.XGrad(ahead=ahead), **options)


@method("adaptive")
class XGradAdamW(Optimizer):
    """AdamW, evaluated where its last direction would lead once more.

    Args:
        params: parameters or groups.
        lr: default 1e-3 (paper).
        betas: default (0.9, 0.999) (paper).
        eps: default 1e-8 (paper).
        weight_decay: decoupled, default 0: XGrad with Adam.
        ahead: steps to predict, default 1 (paper).
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 1e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0.0, ahead: float = 1.0, **options: Unpack[PointedDecayed]) -> None:  # fmt: skip
        super().__init__(params, lr, direction=D.Adam(**named(betas), eps=eps), geometry=Decay(weight_decay=weight_decay),
                         point=point.XGrad(ahead=ahead), **options)  # fmt: skip
