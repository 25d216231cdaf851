"""SMB: a model where the plain step fails."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import direction as D
from steepest import point
from steepest.core.optimizer import Optimizer
from steepest.core.options import PointedDirected
from steepest.optim.guarded import Guarded
from steepest.optim.registry import method


@method("stepsize", forwards=2, space={"lr": ("log", 1e-3, 10.0), "c": ("log", 0.01, 0.5)})
class SMB(Optimizer):
    """Stochastic model building: SGD whose too long steps are shortened and turned, tensor by tensor.

    Args:
        params: parameters or groups.
        lr: length of the plain step, default 0.5 (paper's experiments).
        c: sufficient decrease, default 0.1 (paper's experiments).
        kappa: the paper's η, default 0.99 (authors' code).
        weight_decay: coupled, default 0.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 0.5, c: float = 0.1, kappa: float = 0.99, weight_decay: float = 0.0,
                 **options: Unpack[PointedDirected]) -> None:  # fmt: skip
        inner = D.Coupled(D.Direction(), weight_decay=weight_decay)
        super().__init__(params, lr, direction=inner, point=point.SMB(c=c, kappa=kappa), **options)


@method("stepsize", forwards=2, space={"lr": ("log", 1e-3, 10.0), "c": ("log", 0.01, 0.5)})
class SMBi(Guarded):
    """Stochastic model building whose model is made on the next batch: the variant with a convergence theory.

    Args:
        params: parameters or groups.
        lr: length of the plain step, default 0.5 (paper's experiments).
        c: sufficient decrease, default 0.1 (paper's experiments).
        kappa: the paper's η, default 0.99 (authors' code).
        weight_decay: coupled, default 0; not while a gradient waits.
        options: see :class:`steepest.optim.guarded.Guarded`.
    """

    def __init__(self, params: Any, lr: float = 0.5, c: float = 0.1, kappa: float = 0.99, weight_decay: float = 0.0,
                 **options: Unpack[PointedDirected]) -> None:  # fmt: skip
        inner = D.Coupled(D.Direction(), weight_decay=weight_decay)
        super().__init__(params, lr, direction=inner, point=point.SMBi(c=c, kappa=kappa), **options)
