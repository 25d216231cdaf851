"""Methods that ask elsewhere, or keep another point, to end in flatter places."""

from __future__ import annotations

from typing import Any, Literal, Unpack

from steepest import direction as D
from steepest import point
from steepest.core.optimizer import Optimizer
from steepest.core.options import AskedDecayed, AskedDirected
from steepest.core.part import Point
from steepest.geometry import Decay
from steepest.optim.adaptive import Betas, named
from steepest.optim.registry import Range, method

RHO: dict[str, Range] = {"lr": ("log", 1e-4, 10.0), "rho": ("log", 1e-3, 1.0)}


class _OverSGD(Optimizer):
    """A point over SGD with momentum and coupled weight decay, as the papers run it."""

    def __init__(self, params: Any, lr: float, where: Point, momentum: float, weight_decay: float,
                 **options: Unpack[AskedDirected]) -> None:  # fmt: skip
        inner = D.Coupled(D.Momentum(momentum=momentum), weight_decay=weight_decay)
        super().__init__(params, lr, direction=inner, point=where, **options)


@method("flatness", forwards=2, backwards=2, space=RHO)
class SAM(_OverSGD):
    """Sharpness-aware minimization over SGD with momentum; for another direction pass point=SAM to Optimizer.

    Args:
        params: parameters or groups.
        lr: default 0.1 (paper's CIFAR runs).
        rho: radius, default 0.05 (paper).
        momentum: default 0.9.
        weight_decay: coupled, default 0.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 0.1, rho: float = 0.05, momentum: float = 0.9,
                 weight_decay: float = 0.0, **options: Unpack[AskedDirected]) -> None:  # fmt: skip
        super().__init__(params, lr, point.SAM(rho=rho), momentum, weight_decay, **options)


@method("flatness", forwards=2, backwards=2, space=RHO)
class ASAM(_OverSGD):
    """Adaptive SAM over SGD with momentum: the radius is relative to each weight.

    Args:
        params: parameters or groups.
        lr: default 0.1 (authors' code).
        rho: radius relative to the weights, default 0.5 (authors' code).
        offset: added to the size of the weights, default 0.01 (authors' code's eta).
        momentum: default 0.9 (authors' code).
        weight_decay: coupled, default 0 (authors' code: 5e-4).
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 0.1, rho: float = 0.5, offset: float = 0.01, momentum: float = 0.9,
                 weight_decay: float = 0.0, **options: Unpack[AskedDirected]) -> None:  # fmt: skip
        super().__init__(params, lr, point.ASAM(rho=rho, offset=offset), momentum, weight_decay, **options)


@method("flatness", forwards=2, backwards=2, space=RHO | {"theta": ("linear", 0.1, 1.0)})
class VaSSO(_OverSGD):
    """Variance-suppressed SAM over SGD with momentum: it leans along an average of gradients.

    Args:
        params: parameters or groups.
        lr: default 0.05 (authors' code).
        rho: radius, default 0.05 (authors' code).
        theta: weight of the new gradient, default 0.9 (authors' code); 1 is SAM.
        momentum: default 0.9 (authors' code).
        weight_decay: coupled, default 0 (authors' code: 5e-4).
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 0.05, rho: float = 0.05, theta: float = 0.9, momentum: float = 0.9,
                 weight_decay: float = 0.0, **options: Unpack[AskedDirected]) -> None:  # fmt: skip
        super().__init__(params, lr, point.VaSSO(rho=rho, theta=theta), momentum, weight_decay, **options)


@method("flatness", forwards=2, backwards=2, space=RHO | {"alpha": ("linear", 0.5, 0.99)})
class InfoSAM(_OverSGD):
    """SAM that leans less where gradients are noisy, over SGD with momentum.

    Not reproduced: the paper's equation has not been seen; see :class:`steepest.point.InfoSAM`, also for the floor.

    Args:
        params: parameters or groups.
        lr: default 0.05 (authors' code).
        rho: radius, default 0.05 (authors' code).
        alpha: decay of the average that gradients are compared with, default 0.9.
        floor: added to the estimate of the variance, default 1e-12.
        momentum: default 0.9 (authors' code).
        weight_decay: coupled, default 0 (authors' code: 5e-4).
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 0.05, rho: float = 0.05, alpha: float = 0.9, floor: float = 1e-12,
                 momentum: float = 0.9, weight_decay: float = 0.0, **options: Unpack[AskedDirected]) -> None:  # fmt: skip
        where = point.InfoSAM(rho=rho, alpha=alpha, floor=floor)
        super().__init__(params, lr, where, momentum, weight_decay, **options)


@method("flatness", forwards=2, backwards=2, space=RHO | {"sparsity": ("linear", 0.0, 0.95)})
class FSAM(_OverSGD):
    """SAM with a Fisher mask over SGD with momentum: only the weights that matter are perturbed.

    Args:
        params: parameters or groups.
        lr: default 0.1.
        rho: radius before masking, default 0.05 (authors' code).
        sparsity: part of the weights that is not perturbed, default 0.9 (authors' code).
        every: steps between two masks, default 100 (authors' code).
        momentum: default 0.9.
        weight_decay: coupled, default 0.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 0.1, rho: float = 0.05, sparsity: float = 0.9, every: int = 100,
                 momentum: float = 0.9, weight_decay: float = 0.0, **options: Unpack[AskedDirected]) -> None:  # fmt: skip
        where = point.FSAM(rho=rho, sparsity=sparsity, every=every)
        super().__init__(params, lr, where, momentum, weight_decay, **options)


@method("flatness", forwards=2, backwards=2,
        space={"lr": ("log", 1e-4, 10.0), "strength": ("log", 1e-3, 1.0), "ascent": ("log", 1e-3, 1.0)})  # fmt: skip
class FGR(_OverSGD):
    """Finite-difference gradient regularization over SGD with momentum: a penalty on the norm of the gradient.

    Args:
        params: parameters or groups.
        lr: default 0.1.
        strength: of the penalty, default 0.05.
        ascent: distance along the gradient at which it is asked for again, default 0.05.
        side: ``"forward"``, ``"backward"``, ``"centred"`` (which asks three times) or ``"exact"`` (which backpropagates
            twice; see :class:`steepest.point.GradientPenalty`).
        momentum: default 0.9.
        weight_decay: coupled, default 0.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 0.1,
        strength: float = 0.05,
        ascent: float = 0.05,
        side: Literal["forward", "backward", "centred", "exact"] = "forward",
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        **options: Unpack[AskedDirected],
    ) -> None:
        where = point.GradientPenalty(strength=strength, ascent=ascent, side=side)
        super().__init__(params, lr, where, momentum, weight_decay, **options)


@method("flatness", forwards=4, backwards=4, space=RHO | {"ascent": ("log", 1e-3, 0.3)})
class GAM(_OverSGD):
    """Gradient norm aware minimization over SGD with momentum: the gradient is small all around.

    Args:
        params: parameters or groups.
        lr: default 0.1 (authors' code).
        rho: radius within which the gradient is largest, default 0.2 (authors' code).
        ascent: step of finite differences, default 0.02 (authors' code).
        alpha: weight of the gradient a step ahead against that at the worst point, default 0.6 (authors' code).
        blend: weight of the gradient here against that at the worst point in m, default 0.5 (authors' code's beta).
        tilt: how much of m across the direction is taken away, default 0.03 (authors' code's gamma).
        whole: in m the gradient here has the weight 1 instead of ``blend`` (authors' code), default False (paper).
        momentum: default 0.9 (authors' code).
        weight_decay: coupled, default 0 (authors' code: 5e-4).
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 0.1, rho: float = 0.2, ascent: float = 0.02, alpha: float = 0.6,
                 blend: float = 0.5, tilt: float = 0.03, momentum: float = 0.9, weight_decay: float = 0.0,
                 whole: bool = False, **options: Unpack[AskedDirected]) -> None:  # fmt: skip
        where = point.GAM(rho=rho, ascent=ascent, alpha=alpha, blend=blend, tilt=tilt, whole=whole)
        super().__init__(params, lr, where, momentum, weight_decay, **options)


@method("averaging")
class LookaheadAdamW(Optimizer):
    """Lookahead over AdamW; for another direction pass point=Lookahead to Optimizer.

    Args:
        params: parameters or groups.
        lr: default 1e-3.
        betas: default (0.9, 0.999).
        eps: default 1e-8.
        weight_decay: decoupled, default 0.01.
        alpha: weight of the fast weights, default 0.5.
        k: steps between synchronisations, default 5.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        alpha: float = 0.5,
        k: int = 5,
        **options: Unpack[AskedDecayed],
    ) -> None:
        slow = point.Lookahead(alpha=alpha, k=k)
        super().__init__(params, lr, direction=D.Adam(**named(betas), eps=eps),
                         geometry=Decay(weight_decay=weight_decay), point=slow, **options)  # fmt: skip
