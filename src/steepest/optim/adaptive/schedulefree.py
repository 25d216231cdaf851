"""Schedule-free AdamW and SGD: an average of the points in the place of momentum and schedule."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import direction as D
from steepest.core.fields import check_number
from steepest.core.optimizer import Optimizer
from steepest.core.options import PointedDecayed
from steepest.geometry import Decay
from steepest.optim.betas import Betas, named
from steepest.optim.registry import method
from steepest.point import ScheduleFree


@method("adaptive")
class ScheduleFreeAdamW(Optimizer):
    """Schedule-free AdamW: evaluate and save with ``with opt.averaged():`` or between ``opt.eval()`` and ``opt.train()``.

    Args:
        params: parameters or groups.
        lr: default 2.5e-3 (authors' code); constant but for a warm-up of a few hundred steps or more, which helps.
        betas: the pull towards the average, and the decay of the second moment; default (0.9, 0.999) (paper). In groups they
            are ``pull`` and ``alpha``.
        eps: default 1e-8 (paper).
        weight_decay: decoupled, at the points where gradients are taken, default 0.
        gamma: points are weighed by their number to this power, an integer, default 0 (paper).
        power: and by their learning rate to this one, default 2 (paper).
        options: see :class:`steepest.Optimizer`.

    Note: as in the paper the bias correction of the second moment is in the weights of points, too; the authors' code has it
    in the direction alone, and weighs by the largest learning rate so far.
    """

    def __init__(self, params: Any, lr: float = 2.5e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0.0, gamma: int = 0, power: int = 2,
                 **options: Unpack[PointedDecayed]) -> None:  # fmt: skip
        pair = named(betas)
        for name, beta in pair.items():  # under the names that they have here
            check_number(type(self).__name__, name, beta, "[0, 1)")
        super().__init__(params, lr, direction=D.CorrectedRMSprop(alpha=pair["beta2"], eps=eps),
                         geometry=Decay(weight_decay=weight_decay),
                         point=ScheduleFree(pull=pair["beta1"], gamma=gamma, power=power), **options)  # fmt: skip


@method("adaptive", space={"lr": ("log", 1e-3, 100.0)})
class ScheduleFreeSGD(Optimizer):
    """Schedule-free SGD: evaluate and save with ``with opt.averaged():`` or between ``opt.eval()`` and ``opt.train()``.

    Args:
        params: parameters or groups.
        lr: default 1 (authors' code); ten to fifty times that of SGD with momentum.
        pull: β, towards the average, default 0.9 (paper).
        weight_decay: decoupled, at the points where gradients are taken, default 0.
        gamma: points are weighed by their number to this power, an integer, default 0 (paper).
        power: and by their learning rate to this one, default 2 (paper).
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 1.0, pull: float = 0.9, weight_decay: float = 0.0, gamma: int = 0,
                 power: int = 2, **options: Unpack[PointedDecayed]) -> None:  # fmt: skip
        super().__init__(params, lr, direction=D.Direction(), geometry=Decay(weight_decay=weight_decay),
                         point=ScheduleFree(pull=pull, gamma=gamma, power=power), **options)  # fmt: skip
