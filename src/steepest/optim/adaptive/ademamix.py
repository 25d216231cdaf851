"""AdEMAMix: Adam with a slow average of gradients besides."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import direction as D
from steepest.core.optimizer import Optimizer
from steepest.core.options import Decayed
from steepest.geometry import Decay
from steepest.optim.betas import Betas3, named3
from steepest.optim.registry import method


@method("adaptive")
class AdEMAMix(Optimizer):
    """AdEMAMix: AdamW with a second average of gradients that is ten thousand steps long.

    Args:
        params: parameters or groups.
        lr: default 1e-3.
        betas: decay of the fast average, of squares and of the slow average, default (0.9, 0.999, 0.9999) (paper).
        eps: default 1e-8 (paper).
        weight_decay: decoupled, default 0.
        alpha: weight of the slow average, default 5 (paper: 4 to 10).
        warmup: steps until alpha and the slow decay are what they are here, default 0; the paper takes the length of the
            run, and training may diverge early without it.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 1e-3, betas: Betas3 = (0.9, 0.999, 0.9999), eps: float = 1e-8,
                 weight_decay: float = 0.0, alpha: float = 5.0, warmup: int = 0,
                 **options: Unpack[Decayed]) -> None:  # fmt: skip
        inner = D.AdEMAMix(**named3(betas), eps=eps, alpha=alpha, warmup=warmup)
        super().__init__(params, lr, direction=inner, geometry=Decay(weight_decay=weight_decay), **options)
