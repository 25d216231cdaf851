"""SANIA: Polyak's step in the norm of a preconditioner."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import direction as D
from steepest import stepsize
from steepest.core.optimizer import Optimizer
from steepest.core.options import SizedDirected
from steepest.optim.registry import method


@method("stepsize", space={"eps": ("log", 1e-12, 1e-2)})
class AdaGradSQR(Optimizer):
    """SANIA AdaGrad-SQR: AdaGrad without root and without learning rate; the units of x do not matter.

    Args:
        params: parameters or groups.
        eps: floor of the sum of squares, default 0 (paper, as quoted by third parties).
        root: divide by the root, default False.
        f_star: a lower bound of every mini-batch loss, default 0.
        lr: multiplies the step, default 1.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, eps: float = 0.0, root: bool = False, f_star: float = 0.0, lr: float = 1.0,
                 **options: Unpack[SizedDirected]) -> None:  # fmt: skip
        inner = D.AdaGradSQR(eps=eps, root=root)
        super().__init__(params, lr, direction=inner, step_size=stepsize.SANIA(f_star=f_star), **options)


@method("stepsize", space={"eps": ("log", 1e-12, 1e-2)})
class AdamSQR(Optimizer):
    """SANIA Adam-SQR: Adam's second moment without root, no momentum and no learning rate.

    Args:
        params: parameters or groups.
        decay: β of the second moment, default 0.999 (authors' code).
        eps: floor of the second moment, default 0 (paper, as quoted by third parties).
        root: divide by the root, default False.
        f_star: a lower bound of every mini-batch loss, default 0.
        lr: multiplies the step, default 1.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, decay: float = 0.999, eps: float = 0.0, root: bool = False, f_star: float = 0.0,
                 lr: float = 1.0, **options: Unpack[SizedDirected]) -> None:  # fmt: skip
        inner = D.AdamSQR(decay=decay, eps=eps, root=root)
        super().__init__(params, lr, direction=inner, step_size=stepsize.SANIA(f_star=f_star), **options)
