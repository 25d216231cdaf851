"""AdaGrad-Norm: one step size from the sum of squared norms."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import direction as D
from steepest import stepsize
from steepest.core.options import SizedDirected
from steepest.core.part import Per
from steepest.optim.guarded import Guarded
from steepest.optim.registry import method


@method("stepsize", space={"lr": ("log", 1e-3, 100.0)})
class AdaGradNorm(Guarded):
    """SGD with the scalar step size of AdaGrad.

    Args:
        params: parameters or groups.
        lr: the length of the first step, in units of x, default 1 (paper's eta).
        b0: what the root of the sum of squared gradients starts from, default 1e-8.
        weight_decay: coupled, default 0.
        per: one step size for "all" (paper), a "group" or each "tensor".
        options: see :class:`steepest.optim.guarded.Guarded`; in the convex theory the average of the points is returned
            (``point=steepest.point.Average(gamma=0)``).
    """

    def __init__(self, params: Any, lr: float = 1.0, b0: float = 1e-8, weight_decay: float = 0.0, per: Per = "all",
                 **options: Unpack[SizedDirected]) -> None:  # fmt: skip
        inner = D.Coupled(D.Direction(), weight_decay=weight_decay)
        super().__init__(params, lr, direction=inner, step_size=stepsize.AdaGradNorm(b0=b0, per=per), **options)
