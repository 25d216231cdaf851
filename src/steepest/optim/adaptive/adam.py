"""Adam and AdamW, as torch has them, and AMSGrad: a second moment that never falls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from steepest import direction as D
from steepest.core.optimizer import Optimizer
from steepest.core.options import DecayedTorch, DirectedTorch
from steepest.geometry import Decay
from steepest.optim.betas import Betas, named
from steepest.optim.registry import method

_TORCH = {"foreach": None, "capturable": False, "differentiable": False, "fused": None, "amsgrad": False}


class _Adams(Optimizer):
    """What torch's Adam and AdamW share: a keyword for AMSGrad."""

    torch_group: Mapping[str, Any]

    def _moments(self, amsgrad: bool) -> type[D.Adam]:
        """The direction, and what torch's checkpoints say about it."""
        if not isinstance(amsgrad, bool):
            raise TypeError(f"amsgrad must be True or False, got {amsgrad!r}")
        self.torch_group = {**self.torch_group, "amsgrad": amsgrad}
        return D.AMSGrad if amsgrad else D.Adam


@method("adaptive")
class Adam(_Adams):
    """Adam, as torch.optim.Adam, with coupled weight decay.

    Checkpoints are torch's: each loads the other's.

    Args:
        params: parameters or groups.
        lr: default 1e-3 (paper).
        betas: default (0.9, 0.999) (paper).
        eps: default 1e-8 (paper).
        weight_decay: coupled (an L2 penalty), default 0.
        amsgrad: divide by the largest second moment seen, as :class:`steepest.AMSGrad`; default False.
        options: see :class:`steepest.Optimizer`.
    """

    torch_group = {**_TORCH, "decoupled_weight_decay": False}

    def __init__(self, params: Any, lr: float = 1e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0.0, amsgrad: bool = False, **options: Unpack[DirectedTorch]) -> None:  # fmt: skip
        inner = self._moments(amsgrad)(**named(betas), eps=eps)
        super().__init__(params, lr, direction=D.Coupled(inner, weight_decay=weight_decay), **options)


@method("adaptive")
class AdamW(_Adams):
    """AdamW, as torch.optim.AdamW.

    Checkpoints are torch's: each loads the other's.

    Args:
        params: parameters or groups.
        lr: default 1e-3.
        betas: default (0.9, 0.999).
        eps: default 1e-8.
        weight_decay: decoupled, default 0.01 (torch).
        amsgrad: divide by the largest second moment seen, as :class:`steepest.AMSGrad`; default False.
        options: see :class:`steepest.Optimizer`.
    """

    torch_group = {**_TORCH, "decoupled_weight_decay": True}

    def __init__(self, params: Any, lr: float = 1e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0.01, amsgrad: bool = False, **options: Unpack[DecayedTorch]) -> None:  # fmt: skip
        inner = self._moments(amsgrad)(**named(betas), eps=eps)
        super().__init__(params, lr, direction=inner, geometry=Decay(weight_decay=weight_decay), **options)


@method("adaptive")
class AMSGrad(Optimizer):
    """AMSGrad: Adam with a second moment that never falls; equals torch.optim.Adam(amsgrad=True).

    Args:
        params: parameters or groups.
        lr: default 1e-3.
        betas: default (0.9, 0.999).
        eps: default 1e-8.
        weight_decay: coupled, default 0.
        bias_correction: default True (torch); the paper has none.
        options: see :class:`steepest.Optimizer`.
    """

    torch_group = {**_TORCH, "amsgrad": True, "decoupled_weight_decay": False}

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        bias_correction: bool = True,
        **options: Unpack[DirectedTorch],
    ) -> None:
        inner = D.AMSGrad(**named(betas), eps=eps, bias_correction=bias_correction)
        super().__init__(params, lr, direction=D.Coupled(inner, weight_decay=weight_decay), **options)
