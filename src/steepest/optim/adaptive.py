"""Adam and its family, sign methods, and the two parts that go around any of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict, Unpack

import torch

from steepest import direction as D
from steepest.core.given import several
from steepest.core.optimizer import Optimizer
from steepest.core.options import Decayed, DecayedTorch, DirectedTorch
from steepest.core.stored import count
from steepest.geometry import Decay
from steepest.optim.registry import method

Betas = tuple[float, float]
_TORCH = {"foreach": None, "capturable": False, "differentiable": False, "fused": None, "amsgrad": False}


class Pair(TypedDict):
    """Of hyper-parameters."""

    beta1: float
    beta2: float


def named(betas: Any) -> Pair:
    """``betas``, any sequence of two, as the hyper-parameters beta1 and beta2.

    Raises:
        TypeError: not a pair.
    """
    pair = several(betas)
    if pair is None or len(pair) != 2:
        raise TypeError(f"betas must be a pair of numbers in [0, 1), got {betas!r}")
    return {"beta1": pair[0], "beta2": pair[1]}


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


@method("adaptive")
class NAdam(Optimizer):
    """NAdam: Adam with Nesterov's look ahead, as torch.optim.NAdam, with coupled weight decay.

    Checkpoints are torch's: each loads the other's.

    Args:
        params: parameters or groups.
        lr: default 2e-3 (torch).
        betas: default (0.9, 0.999) (torch).
        eps: default 1e-8 (paper).
        weight_decay: coupled (an L2 penalty), default 0.
        momentum_decay: how fast the momentum rises from half of beta1 to beta1, default 4e-3 (torch).
        options: see :class:`steepest.Optimizer`.
    """

    torch_group = {"foreach": None, "capturable": False, "differentiable": False, "decoupled_weight_decay": False}

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        **options: Unpack[DirectedTorch],
    ) -> None:
        inner = D.NAdam(**named(betas), eps=eps, momentum_decay=momentum_decay)
        super().__init__(params, lr, direction=D.Coupled(inner, weight_decay=weight_decay), **options)

    def to_torch(self, entry: dict[str, Any], group: Mapping[str, Any]) -> dict[str, Any]:
        """The product of the momenta as a tensor, as torch keeps it."""
        return {n: torch.tensor(v, dtype=torch.float64) if n == "mu_product" else v for n, v in entry.items()}


@method("adaptive")
class AdaBelief(Optimizer):
    """AdaBelief: Adam with the variance around the momentum instead of the second moment.

    Args:
        params: parameters or groups.
        lr: default 1e-3 (paper).
        betas: default (0.9, 0.999) (paper).
        eps: default 1e-8 (paper, convolutional nets; 1e-16 for transformers and GANs).
        weight_decay: decoupled, default 0.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 1e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0.0, **options: Unpack[Decayed]) -> None:  # fmt: skip
        inner = D.AdaBelief(**named(betas), eps=eps)
        super().__init__(params, lr, direction=inner, geometry=Decay(weight_decay=weight_decay), **options)


@method("adaptive")
class AdaGrad(Optimizer):
    """AdaGrad, as torch.optim.Adagrad, with coupled weight decay.

    Checkpoints are torch's: each loads the other's.

    Args:
        params: parameters or groups.
        lr: default 0.01 (torch).
        lr_decay: a further decay in 1/t, default 0.
        weight_decay: coupled (an L2 penalty), default 0.
        initial_accumulator_value: default 0.
        eps: default 1e-10 (torch).
        options: see :class:`steepest.Optimizer`.
    """

    torch_group = {"foreach": None, "differentiable": False, "fused": None}

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        **options: Unpack[DirectedTorch],
    ) -> None:
        inner = D.AdaGrad(eps=eps, lr_decay=lr_decay, initial_accumulator_value=initial_accumulator_value)
        super().__init__(params, lr, direction=D.Coupled(inner, weight_decay=weight_decay), **options)

    def from_torch(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Torch makes state before the first step, too, which ours makes at the first step."""
        return {} if count(entry.get("step")) is None and entry["step"] == 0 else entry


@method("adaptive", space={"lr": ("log", 1e-6, 0.1)})
class Lion(Optimizer):
    """Lion: the sign of a mix of momentum and gradient; one state per parameter.

    Args:
        params: parameters or groups.
        lr: default 1e-4 (paper).
        betas: default (0.9, 0.99) (paper).
        weight_decay: decoupled, default 0.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 1e-4, betas: Betas = (0.9, 0.99), weight_decay: float = 0.0,
                 **options: Unpack[Decayed]) -> None:  # fmt: skip
        inner = D.Lion(**named(betas))
        super().__init__(params, lr, direction=inner, geometry=Decay(weight_decay=weight_decay), **options)


@method("adaptive")
class ADOPT(Optimizer):
    """ADOPT: Adam that converges for every beta2.

    Args:
        params: parameters or groups.
        lr: default 1e-3 (paper).
        betas: default (0.9, 0.9999) (paper).
        eps: floor of the root of the second moment, default 1e-6 (paper).
        weight_decay: decoupled, default 0.
        clip: default True (the paper's Algorithm 2).
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 1e-3, betas: Betas = (0.9, 0.9999), eps: float = 1e-6,
                 weight_decay: float = 0.0, clip: bool = True, **options: Unpack[Decayed]) -> None:  # fmt: skip
        inner = D.Adopt(**named(betas), eps=eps, clip=clip)
        super().__init__(params, lr, direction=inner, geometry=Decay(weight_decay=weight_decay), **options)


@method("adaptive")
class CAdamW(Optimizer):
    """Cautious AdamW: coordinates that disagree with the gradient stay.

    Args:
        params: parameters or groups.
        lr: default 1e-3.
        betas: default (0.9, 0.999).
        eps: default 1e-6 (authors' code).
        weight_decay: decoupled, default 0.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 1e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-6,
                 weight_decay: float = 0.0, **options: Unpack[Decayed]) -> None:  # fmt: skip
        inner = D.Cautious(D.Adam(**named(betas), eps=eps))
        super().__init__(params, lr, direction=inner, geometry=Decay(weight_decay=weight_decay), **options)


@method("adaptive", space={"lr": ("log", 1e-6, 0.1)})
class CLion(Optimizer):
    """Cautious Lion.

    Args:
        params: parameters or groups.
        lr: default 1e-4.
        betas: default (0.95, 0.98) (authors' code).
        weight_decay: decoupled, default 0.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 1e-4, betas: Betas = (0.95, 0.98), weight_decay: float = 0.0,
                 **options: Unpack[Decayed]) -> None:  # fmt: skip
        inner = D.Cautious(D.Lion(**named(betas)))
        super().__init__(params, lr, direction=inner, geometry=Decay(weight_decay=weight_decay), **options)


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
