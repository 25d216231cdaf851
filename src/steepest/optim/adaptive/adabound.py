"""AdaBound and AMSBound: from Adam to SGD by bounds on the step size."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import direction as D
from steepest.core.optimizer import Optimizer
from steepest.core.options import Directed
from steepest.optim.betas import Betas, named
from steepest.optim.registry import method


class _Bounded(Optimizer):
    """What both share."""

    _rule: type[D.AdaBound]

    def __init__(self, params: Any, lr: float = 1e-3, betas: Betas = (0.9, 0.999), final: float = 100.0,
                 gamma: float = 1e-3, eps: float = 1e-8, weight_decay: float = 0.0, bias_correction: bool = True,
                 **options: Unpack[Directed]) -> None:  # fmt: skip
        inner = self._rule(**named(betas), eps=eps, final=final, gamma=gamma, bias_correction=bias_correction)
        super().__init__(params, lr, direction=D.Coupled(inner, weight_decay=weight_decay), **options)


@method("adaptive")
class AdaBound(_Bounded):
    """AdaBound: Adam whose step sizes are held between bounds that close in on SGD's.

    Args:
        params: parameters or groups.
        lr: default 1e-3 (paper).
        betas: default (0.9, 0.999) (paper).
        final: the step size in the end, as a multiple of ``lr``, default 100: 0.1 for the default ``lr`` (paper).
        gamma: how fast the bounds close, default 1e-3 (paper).
        eps: default 1e-8.
        weight_decay: coupled (an L2 penalty), default 0.
        bias_correction: default True (authors' code); Algorithm 2 has none.
        options: see :class:`steepest.Optimizer`.

    The paper's α* is final × lr; so a schedule of ``lr`` moves both, as in the authors' code, and each group has its own.
    """

    _rule = D.AdaBound


@method("adaptive")
class AMSBound(_Bounded):
    """AMSBound: AdaBound with a second moment that never falls.

    Args:
        params: parameters or groups.
        lr: default 1e-3 (paper).
        betas: default (0.9, 0.999) (paper).
        final: the step size in the end, as a multiple of ``lr``, default 100: 0.1 for the default ``lr`` (paper).
        gamma: how fast the bounds close, default 1e-3 (paper).
        eps: default 1e-8.
        weight_decay: coupled (an L2 penalty), default 0.
        bias_correction: default True (authors' code); Algorithm 3 has none.
        options: see :class:`steepest.Optimizer`.
    """

    _rule = D.AMSBound
