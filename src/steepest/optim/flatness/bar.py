"""BAR: SAM's balance of two factors without SAM's second gradient."""

from __future__ import annotations

from typing import Any, Literal, Unpack

from steepest import direction as D
from steepest import point
from steepest.core.optimizer import Optimizer
from steepest.core.options import PointedDecayed
from steepest.geometry import Decay
from steepest.optim.betas import Betas, named
from steepest.optim.registry import method
from steepest.point.balance import Pairs


@method("flatness", space={"lr": ("log", 1e-5, 1e-1), "alpha": ("log", 0.05, 2.0)})
class BAR(Optimizer):
    """Balancedness-aware regularization of low-rank adapters over AdamW; for another direction pass point=BAR to Optimizer.

    Args:
        params: parameters or groups.
        lr: default 5e-4 (the largest in the paper's searches).
        alpha: α₀, default 0.5; a radius as SAM's (0.05 to 0.2) if the variant is proportional.
        pairs: of factors, ``steepest.nn.pairs(model)``.
        variant: ``"n"`` (nBAR, default), ``"o"`` (oBAR) or ``"proportional"`` (SAM's rate; see :class:`steepest.point.BAR`).
        schedule: of α: ``"constant"``, ``"linear"`` or ``"cosine"``.
        steps: until α is zero, if it falls.
        betas: default (0.9, 0.999).
        eps: default 1e-8.
        weight_decay: decoupled, default 0.
        options: see :class:`steepest.Optimizer`.

    Example:
        >>> import torch, steepest
        >>> model = steepest.nn.add_lora(torch.nn.Sequential(torch.nn.Linear(4, 2)), rank=1)
        >>> opt = steepest.BAR(model.parameters(), pairs=steepest.nn.pairs(model))
        >>> _ = opt.step(lambda: model(torch.ones(1, 4)).square().sum())
    """

    def __init__(
        self,
        params: Any,
        lr: float = 5e-4,
        alpha: float = 0.5,
        pairs: Pairs | None = None,
        variant: Literal["n", "o"] = "n",
        schedule: Literal["constant", "linear", "cosine"] = "constant",
        steps: int = 0,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        **options: Unpack[PointedDecayed],
    ) -> None:
        balance = point.BAR(pairs, alpha=alpha, variant=variant, schedule=schedule, steps=steps)
        super().__init__(params, lr, direction=D.Adam(**named(betas), eps=eps),
                         geometry=Decay(weight_decay=weight_decay), point=balance, **options)  # fmt: skip
        if pairs is not None:
            balance.settle([p for group in self.param_groups for p in group["params"]])
