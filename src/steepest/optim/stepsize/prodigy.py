"""Prodigy: Adam that estimates the distance to the solution."""

from __future__ import annotations

import math
from typing import Any, Unpack

from steepest import direction as D
from steepest import stepsize
from steepest.core.options import SizedDecayed
from steepest.core.part import Per
from steepest.geometry import Decay
from steepest.optim.betas import Betas, named
from steepest.optim.guarded import Guarded
from steepest.optim.registry import method


@method("stepsize", space={"d0": ("log", 1e-8, 1e-3)})
class Prodigy(Guarded):
    """Prodigy: Adam with an estimate of the distance to the solution as its step size.

    Args:
        params: parameters or groups.
        lr: the schedule's multiplier, default 1 (paper).
        betas: default (0.9, 0.999) (paper).
        eps: default 1e-8 (paper).
        weight_decay: decoupled, default 0.
        d0: first estimate of the distance, default 1e-6 (paper).
        coefficient: a factor of the estimate, default 1 (paper; the authors' ``d_coef``).
        growth_rate: largest growth of the estimate in a step, default infinite (paper).
        per: one estimate for "all" (paper), a "group" or each "tensor".
        options: see :class:`steepest.optim.guarded.Guarded`.
    """

    def __init__(self, params: Any, lr: float = 1.0, betas: Betas = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0.0, d0: float = 1e-6, coefficient: float = 1.0, growth_rate: float = math.inf,
                 per: Per = "all", **options: Unpack[SizedDecayed]) -> None:  # fmt: skip
        step = stepsize.Prodigy(d0=d0, coefficient=coefficient, growth_rate=growth_rate, per=per)
        super().__init__(params, lr, direction=D.Prodigy(**named(betas), eps=eps), step_size=step,
                         geometry=Decay(weight_decay=weight_decay), **options)  # fmt: skip
