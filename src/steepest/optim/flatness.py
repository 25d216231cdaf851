"""Methods that ask elsewhere, or keep another point, to end in flatter places."""

from __future__ import annotations

from typing import Any

from steepest import direction as D
from steepest import point
from steepest.core.optimizer import Optimizer
from steepest.geometry import Decay
from steepest.optim.adaptive import Betas, named
from steepest.optim.registry import method


@method("flatness", forwards=2, backwards=2, space={"lr": ("log", 1e-4, 10.0), "rho": ("log", 1e-3, 1.0)})
class SAM(Optimizer):
    """Sharpness-aware minimization over SGD with momentum; for another direction pass point=SAM to Optimizer.

    Args:
        params: parameters or groups.
        lr: default 0.1 (paper's CIFAR runs).
        rho: radius, default 0.05 (paper).
        momentum: default 0.9.
        weight_decay: coupled, default 0.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 0.1, rho: float = 0.05, momentum: float = 0.9,
                 weight_decay: float = 0.0, **options: Any) -> None:  # fmt: skip
        inner = D.Coupled(D.Momentum(momentum=momentum), weight_decay=weight_decay)
        super().__init__(params, lr, direction=inner, point=point.SAM(rho=rho), **options)


@method("averaging")
class LookaheadAdamW(Optimizer):
    """Lookahead over AdamW; for another direction pass point=Lookahead to Optimizer.

    Args:
        params: parameters or groups.
        lr: default 1e-3.
        betas: default (0.9, 0.999).
        eps: default 1e-8.
        weight_decay: decoupled, default 0.01.
        alpha: weight of the fast weights, default 0.5.
        k: steps between synchronisations, default 5.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 1e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0.01, alpha: float = 0.5, k: int = 5, **options: Any) -> None:  # fmt: skip
        slow = point.Lookahead(alpha=alpha, k=k)
        super().__init__(params, lr, direction=D.Adam(**named(betas), eps=eps),
                         geometry=Decay(weight_decay=weight_decay), point=slow, **options)  # fmt: skip
