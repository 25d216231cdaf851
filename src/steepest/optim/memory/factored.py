"""Adaptive methods that keep less than one second moment a weight: a row's and a column's, or a whole tensor's."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import direction as D
from steepest.core.optimizer import Optimizer
from steepest.core.options import Decayed, Directed
from steepest.geometry import Decay
from steepest.optim.betas import Betas, named
from steepest.optim.registry import method


@method("memory", space={"lr": ("log", 1e-3, 1.0)})
class Adafactor(Optimizer):
    """Adafactor: second moments of rows and columns, clipped updates, steps relative to the size of the weights.

    x moves by max(ε₂, RMS(x)) min(lr, 1/√t) û.

    Args:
        params: parameters or groups.
        lr: the largest relative step, default 0.01 (paper).
        eps1: default 1e-30 (paper).
        eps2: default 1e-3 (paper).
        clip: default 1 (paper).
        decay: of the second moments' weight of the past, 1 - t^-decay, default 0.8 (paper).
        weight_decay: decoupled, default 0.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 0.01, eps1: float = 1e-30, eps2: float = 1e-3, clip: float = 1.0,
                 decay: float = 0.8, weight_decay: float = 0.0, **options: Unpack[Decayed]) -> None:  # fmt: skip
        inner = D.Adafactor(eps1=eps1, eps2=eps2, clip=clip, decay=decay)
        super().__init__(params, lr, direction=inner, geometry=Decay(weight_decay=weight_decay), **options)


@method("memory", space={"lr": ("log", 1e-4, 1.0)})
class SM3(Optimizer):
    """SM3-II: AdaGrad whose sums are kept for rows and columns, and not for elements.

    Args:
        params: parameters or groups.
        lr: default 0.1; the paper tunes it.
        momentum: of an average of the steps, which keeps one number a weight more; default 0 (the paper's algorithm, 0.9
            in its experiments).
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 0.1, momentum: float = 0.0, **options: Unpack[Directed]) -> None:
        averaged = D.Averaged(D.SM3(), momentum=momentum)  # which looks at what was given
        super().__init__(params, lr, direction=averaged if averaged.values["momentum"] else averaged.around, **options)


@method("adaptive")
class NovoGrad(Optimizer):
    """NovoGrad: momentum over gradients divided by an average of their norm, tensor by tensor.

    Args:
        params: parameters or groups.
        lr: default 0.01 (paper, ImageNet and speech).
        betas: default (0.95, 0.98) (paper).
        eps: default 1e-8 (authors' code).
        weight_decay: inside the momentum, default 0.
        averaging: multiply what enters the momentum by 1 - β₁, default False (paper).
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 0.01, betas: Betas = (0.95, 0.98), eps: float = 1e-8,
                 weight_decay: float = 0.0, averaging: bool = False, **options: Unpack[Directed]) -> None:  # fmt: skip
        inner = D.NovoGrad(**named(betas), eps=eps, weight_decay=weight_decay, averaging=averaging)
        super().__init__(params, lr, direction=inner, **options)
