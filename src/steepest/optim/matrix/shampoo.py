"""Preconditioners with a factor for each side of a matrix: Shampoo."""

from __future__ import annotations

from typing import Any, Literal, Unpack

from steepest import direction as D
from steepest.core.optimizer import Optimizer
from steepest.core.options import Decayed
from steepest.geometry import Decay
from steepest.optim.betas import Betas, named
from steepest.optim.registry import method


@method("matrix", space={"lr": ("log", 1e-4, 1e-1)})
class Shampoo(Optimizer):
    """Distributed Shampoo: inverse roots of the second moments of rows and columns, with steps as long as Adam's.

    AdamW's learning rate, schedule and decay fit.

    Args:
        params: parameters or groups.
        lr: default 1e-3 (that of Adam, whose length steps have).
        betas: default (0.9, 0.999); β₂ = 1 keeps sums, as Gupta et al. do.
        eps: of Adam's step, default 1e-8.
        weight_decay: decoupled, default 0.
        every: steps between two computations of the roots, default 10.
        block: the longest side of a factor, default 1024.
        large: ``"blocks"`` (default) or ``"skip"``, for longer sides.
        graft: whose length steps have, ``"adam"`` (default), ``"sgd"`` or ``"none"``.
        ridge: relative to the largest eigenvalue, default 1e-6.
        roots: ``"newton"`` (default), or ``"eigh"``, which may be faster on a CPU.
        options: see :class:`steepest.Optimizer`.

    See :class:`steepest.direction.Shampoo` for the equations and for what authors and their code do otherwise.
    """

    def __init__(self, params: Any, lr: float = 1e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0.0, every: int = 10, block: int = 1024,
                 large: Literal["blocks", "skip"] = "blocks", graft: Literal["adam", "sgd", "none"] = "adam",
                 ridge: float = 1e-6, roots: Literal["newton", "eigh"] = "newton",
                 **options: Unpack[Decayed]) -> None:  # fmt: skip
        inner = D.Shampoo(**named(betas), eps=eps, every=every, block=block, large=large, graft=graft, ridge=ridge,
                          roots=roots)  # fmt: skip
        super().__init__(params, lr, direction=inner, geometry=Decay(weight_decay=weight_decay), **options)
