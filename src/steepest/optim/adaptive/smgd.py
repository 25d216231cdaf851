"""SMGD: descent along the median of gradients."""

from __future__ import annotations

from typing import Any, Literal, Unpack

from steepest import direction as D
from steepest import stepsize
from steepest.core.fields import nearest
from steepest.core.optimizer import Optimizer
from steepest.core.options import SizedDecayed
from steepest.geometry import Decay
from steepest.optim.registry import method


@method("adaptive")
class SMGD(Optimizer):
    """SMGD: descent along an estimate of the median of the gradients seen, for noise with heavy tails.

    Args:
        params: parameters or groups.
        lr: default 1e-2 (ours).
        tau: how far one gradient moves the estimate, in units of g, default 0.1 (ours).
        median: ``"geometric"`` (of the ℓ₂ norm over all tensors) or ``"component"`` (of the ℓ₁ norm), default ``"geometric"``.
        weight_decay: decoupled, default 0.
        options: see :class:`steepest.Optimizer`.

    Raises:
        ValueError: another word for ``median``.
    """

    def __init__(self, params: Any, lr: float = 1e-2, tau: float = 0.1, median: Literal["geometric", "component"] = "geometric",
                 weight_decay: float = 0.0, **options: Unpack[SizedDecayed]) -> None:  # fmt: skip
        if median not in ("geometric", "component"):
            close = nearest(str(median), ("geometric", "component"))
            raise ValueError(f"SMGD: median must be 'geometric' or 'component', got {median!r}{close}")
        whole = median == "geometric"
        inner = D.GeometricMedian(tau=tau) if whole else D.ComponentMedian(tau=tau)
        size = stepsize.MedianGap() if whole else stepsize.StepSize()
        super().__init__(
            params, lr, direction=inner, step_size=size, geometry=Decay(weight_decay=weight_decay), **options
        )
