"""One method for everything that has a gradient, without a number to choose."""

from __future__ import annotations

from typing import Any

from steepest import direction as D
from steepest import point, stepsize
from steepest.core.optimizer import Optimizer
from steepest.geometry import Decay
from steepest.optim.registry import method


@method("stepsize", state_bytes=8.0, space={})
class Auto(Optimizer):
    """Cautious Adam that finds its step size from slopes and returns an average: nothing to choose.

    Args:
        params: parameters or groups.
        lr: multiplies the step found, for schedulers; leave it at 1.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 1.0, **options: Any) -> None:
        inner = D.Cautious(D.Adam(beta1=0.8, beta2=0.99), scale="mean")
        super().__init__(params, lr, direction=inner, step_size=stepsize.Slope(), geometry=Decay(weight_decay=0.2),
                         point=point.Average(), **{"codec": "bfloat16"} | options)  # fmt: skip
