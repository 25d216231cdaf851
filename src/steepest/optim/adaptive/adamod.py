"""AdaMod: Adam without steps that are longer than usual."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import direction as D
from steepest.core.given import several
from steepest.core.optimizer import Optimizer
from steepest.core.options import Decayed
from steepest.geometry import Decay
from steepest.optim.registry import method


@method("adaptive")
class AdaMod(Optimizer):
    """AdaMod: Adam whose step sizes are no larger than their own average over time.

    Args:
        params: parameters or groups.
        lr: default 1e-3 (paper).
        betas: default (0.9, 0.999, 0.999) (paper): of the two moments, and of the average of step sizes.
        eps: default 1e-8 (paper).
        weight_decay: decoupled, default 0.
        options: see :class:`steepest.Optimizer`.

    Raises:
        TypeError: betas are not three numbers.
    """

    def __init__(self, params: Any, lr: float = 1e-3, betas: tuple[float, float, float] = (0.9, 0.999, 0.999),
                 eps: float = 1e-8, weight_decay: float = 0.0, **options: Unpack[Decayed]) -> None:  # fmt: skip
        three = several(betas)
        if three is None or len(three) != 3:
            raise TypeError(f"betas must be three numbers in [0, 1), got {betas!r}")
        inner = D.AdaMod(beta1=three[0], beta2=three[1], beta3=three[2], eps=eps)
        super().__init__(params, lr, direction=inner, geometry=Decay(weight_decay=weight_decay), **options)
