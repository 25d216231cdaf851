"""MARS: a scaled difference of gradients in front of AdamW or Lion."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import direction as D
from steepest import point
from steepest.core.optimizer import Optimizer
from steepest.core.options import Decayed, PointedDecayed
from steepest.geometry import Decay
from steepest.optim.betas import Betas, named
from steepest.optim.registry import method


@method("adaptive")
class MARS(Optimizer):
    """MARS-AdamW (approximate): AdamW on gradients whose noise a scaled difference reduces.

    Args:
        params: parameters or groups.
        lr: default 3e-3 (paper).
        betas: default (0.95, 0.99) (paper).
        eps: default 1e-8.
        gamma: default 0.025 (paper).
        weight_decay: decoupled, default 0.
        clip: the norm clip per tensor, default True (paper).
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 3e-3, betas: Betas = (0.95, 0.99), eps: float = 1e-8,
                 gamma: float = 0.025, weight_decay: float = 0.0, clip: bool = True,
                 **options: Unpack[Decayed]) -> None:  # fmt: skip
        inner = D.Mars(D.Adam(**named(betas), eps=eps), gamma=gamma, clip=clip)
        super().__init__(params, lr, direction=inner, geometry=Decay(weight_decay=weight_decay), **options)


@method("adaptive", forwards=2, backwards=2)
class MARSExact(Optimizer):
    """MARS-AdamW (exact): the difference is one of two gradients of the same mini-batch, here and at the last weights.

    Args:
        params: parameters or groups.
        lr: default 3e-3 (paper).
        betas: default (0.95, 0.99) (paper).
        eps: default 1e-8.
        gamma: default 0.025 (paper); 1 is STORM's momentum.
        weight_decay: decoupled, default 0.
        clip: the norm clip per tensor, default True (paper).
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 3e-3, betas: Betas = (0.95, 0.99), eps: float = 1e-8,
                 gamma: float = 0.025, weight_decay: float = 0.0, clip: bool = True,
                 **options: Unpack[PointedDecayed]) -> None:  # fmt: skip
        inner, exact = D.Adam(**named(betas), eps=eps), point.MarsExact(gamma=gamma, clip=clip)
        geometry = Decay(weight_decay=weight_decay)
        super().__init__(params, lr, direction=inner, point=exact, geometry=geometry, **options)


@method("adaptive", space={"lr": ("log", 1e-6, 0.1)})
class MARSLion(Optimizer):
    """MARS-Lion (approximate): the sign of a momentum over gradients whose noise a scaled difference reduces.

    Args:
        params: parameters or groups.
        lr: default 1e-4 (Lion; ours).
        betas: default (0.95, 0.95): the paper's Lion has one β for its momentum; two different ones are Lion's own.
        gamma: default 0.025 (paper).
        weight_decay: decoupled, default 0.
        clip: the norm clip per tensor, default True (paper).
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 1e-4, betas: Betas = (0.95, 0.95), gamma: float = 0.025,
                 weight_decay: float = 0.0, clip: bool = True, **options: Unpack[Decayed]) -> None:  # fmt: skip
        inner = D.Mars(D.Lion(**named(betas)), gamma=gamma, clip=clip)
        super().__init__(params, lr, direction=inner, geometry=Decay(weight_decay=weight_decay), **options)
