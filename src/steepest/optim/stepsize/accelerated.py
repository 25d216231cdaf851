"""Accelerated distance over gradients: U-DoG and A-DoG."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import point, stepsize
from steepest.core.options import SizedPointed
from steepest.optim.guarded import Guarded
from steepest.optim.registry import method


@method("stepsize", forwards=2, backwards=2, space={"reps_rel": ("log", 1e-8, 1e-2)})
class UDoG(Guarded):
    """U-DoG: accelerated distance over gradients, two gradients a step; the weights are the average it returns.

    Args:
        params: parameters or groups.
        reps_rel: size of the first step relative to 1 + |x0|, default 1e-6 (paper).
        lr: multiplies the steps, default 1.
        options: see :class:`steepest.optim.guarded.Guarded`.
    """

    def __init__(self, params: Any, reps_rel: float = 1e-6, lr: float = 1.0, **options: Unpack[SizedPointed]) -> None:
        super().__init__(params, lr, point=point.UniXGrad(), step_size=stepsize.UDoG(reps_rel=reps_rel), **options)


@method("stepsize", space={"reps_rel": ("log", 1e-8, 1e-2)})
class ADoG(Guarded):
    """A-DoG: accelerated distance over gradients, one gradient a step.

    Args:
        params: parameters or groups.
        reps_rel: size of the first step relative to 1 + |x0|, default 1e-6 (paper).
        lr: multiplies the steps, default 1.
        options: see :class:`steepest.optim.guarded.Guarded`.
    """

    def __init__(self, params: Any, reps_rel: float = 1e-6, lr: float = 1.0, **options: Unpack[SizedPointed]) -> None:
        super().__init__(params, lr, point=point.AcceleGrad(), step_size=stepsize.ADoG(reps_rel=reps_rel), **options)
