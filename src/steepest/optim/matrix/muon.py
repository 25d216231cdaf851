"""Muon: orthogonalised momentum."""

from __future__ import annotations

from typing import Any, Literal, Unpack

from steepest import direction as D
from steepest.core.matrix import QUINTIC
from steepest.core.optimizer import Optimizer
from steepest.core.options import Decayed
from steepest.geometry import Decay
from steepest.optim.registry import method


@method("matrix", space={"lr": ("log", 1e-4, 1.0)})
class Muon(Optimizer):
    """Muon, as torch.optim.Muon: orthogonalised momentum.

    Checkpoints are torch's: each loads the other's.

    Args:
        params: parameters or groups.
        lr: default 1e-3 (torch; 0.02 in the author's code).
        weight_decay: decoupled, default 0.1 (torch; 0 in the author's code).
        momentum: default 0.95.
        nesterov: default True.
        eps: default 1e-7.
        ns_steps: iterations of Newton-Schulz, default 5.
        adjust_lr_fn: ``"original"`` (default; torch's None is the same) or ``"match_rms_adamw"``, with which AdamW's learning
            rate and decay fit.
        options: see :class:`steepest.Optimizer`.

    Every tensor of two dimensions or more is a matrix, and its step is orthogonal; the step of vectors and numbers has a
    root mean square of 1 (0.2), see :class:`steepest.direction.Muon`.  Give embeddings, heads and vectors to AdamW, as the
    author does.

    Note: torch.optim.Muon takes matrices only and multiplies them in bfloat16; see :class:`steepest.direction.Muon`.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: Literal["original", "match_rms_adamw"] = "original",
        **options: Unpack[Decayed],
    ) -> None:
        self.torch_group = {
            "nesterov": nesterov,
            "ns_coefficients": QUINTIC,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        inner = D.Muon(momentum=momentum, eps=eps, nesterov=nesterov, ns_steps=ns_steps, adjust_lr_fn=adjust_lr_fn)
        super().__init__(params, lr, direction=inner, geometry=Decay(weight_decay=weight_decay), **options)
