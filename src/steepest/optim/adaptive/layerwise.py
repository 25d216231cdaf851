"""LARS and LAMB: SGD and Adam for large batches, with a step size for each tensor from its norm."""

from __future__ import annotations

import math
from typing import Any, Unpack

from steepest import direction as D
from steepest import stepsize
from steepest.core.optimizer import Optimizer
from steepest.core.options import SizedDirected
from steepest.optim.betas import Betas, named
from steepest.optim.registry import method


@method("adaptive", space={"lr": ("log", 1e-2, 100.0), "coefficient": ("log", 1e-4, 1e-1)})
class LARS(Optimizer):
    """LARS: SGD with momentum, in which a tensor's gradient counts relative to the tensor's norm.

    Args:
        params: parameters or groups.
        lr: γ, default 1 (a trust coefficient of 1e-3 makes it a thousandth of a tensor's norm a step).
        momentum: default 0.9 (paper).
        weight_decay: coupled, in the ratio, too; default 0 (paper: 5e-4).
        coefficient: the share of its norm that a tensor moves by, default 1e-3 (paper).
        options: see :class:`steepest.Optimizer`.

    Note: biases and the gains of normalisation are often left out: put them into a group of another optimizer.
    """

    def __init__(self, params: Any, lr: float = 1.0, momentum: float = 0.9, weight_decay: float = 0.0,
                 coefficient: float = 1e-3, **options: Unpack[SizedDirected]) -> None:  # fmt: skip
        inner = D.SteppedMomentum(momentum=momentum, weight_decay=weight_decay)
        super().__init__(params, lr, direction=inner, step_size=stepsize.LARS(coefficient=coefficient), **options)


@method("adaptive")
class LAMB(Optimizer):
    """LAMB: Adam that moves each tensor by a fraction of its norm.

    Args:
        params: parameters or groups.
        lr: this fraction, default 1e-3.
        betas: default (0.9, 0.999) (paper).
        eps: default 1e-6 (paper).
        weight_decay: added to Adam's direction before its norm is taken, default 0 (paper: 0.01).
        low: least norm of a tensor that counts, default 0: no bound.
        high: largest norm of a tensor that counts, default infinite: no bound.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 1e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-6,
                 weight_decay: float = 0.0, low: float = 0.0, high: float = math.inf,
                 **options: Unpack[SizedDirected]) -> None:  # fmt: skip
        inner = D.Decaying(D.Adam(**named(betas), eps=eps), weight_decay=weight_decay)
        super().__init__(params, lr, direction=inner, step_size=stepsize.TrustRatio(low=low, high=high), **options)
