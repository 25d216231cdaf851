"""Methods that divide by the curvature's diagonal, which they estimate beside the gradient, and one that needs no estimate."""

from __future__ import annotations

from typing import Any, Unpack

from torch import Tensor

from steepest import oracle, stepsize
from steepest.core.optimizer import Optimizer
from steepest.core.options import Directed, Estimating, Probed
from steepest.direction import AdaHessian as AdaHessianDirection
from steepest.direction import DiagonalHessian, Sophia
from steepest.direction import INNAprop as INNApropDirection
from steepest.geometry import Decay
from steepest.optim.betas import Betas, named
from steepest.optim.registry import Range, method

__all__ = ["OASIS", "AdaHessian", "INNAprop", "SophiaG", "SophiaH"]

_LR: dict[str, Range] = {"lr": ("log", 1e-5, 1.0)}


@method("curvature", space={"lr": ("log", 1e-3, 1.0)})
class AdaHessian(Optimizer):
    """Adam with Hutchinson's estimate of the Hessian's diagonal in the place of squared gradients.

    Needs ``step(closure)`` with a closure that only computes and returns the loss.  A step costs a forward, a backward and a
    Hessian-vector product.

    Args:
        params: parameters or groups.
        lr: default 0.15 (paper).
        betas: default (0.9, 0.999) (paper).
        eps: default 1e-4 (authors' code).
        weight_decay: decoupled, default 0.
        power: the Hessian power k, default 1 (paper).
        every: steps from one estimate to the next, default 1 (paper).
        kernels: average the estimate over the kernel of each convolution, default True (paper).
        block: average it over pieces of so many neighbours in the rows of matrices, default 1.
        absolute: average absolute values, default False; the authors' code does.
        seed: of the random signs, default 0.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 0.15, betas: Betas = (0.9, 0.999), eps: float = 1e-4,
                 weight_decay: float = 0.0, power: float = 1.0, every: int = 1, kernels: bool = True, block: int = 1,
                 absolute: bool = False, seed: int = 0, **options: Unpack[Probed]) -> None:  # fmt: skip
        probe = oracle.Hutchinson(every=every, kernels=kernels, block=block, absolute=absolute, seed=seed)
        super().__init__(params, lr, direction=AdaHessianDirection(**named(betas), eps=eps, power=power), oracle=probe,
                         geometry=Decay(weight_decay=weight_decay), **options)  # fmt: skip


@method("curvature", space=_LR)
class SophiaH(Optimizer):
    """Sophia with Hutchinson's estimate of the Hessian's diagonal every ten steps.

    Needs ``step(closure)`` with a closure that only computes and returns the loss.

    Args:
        params: parameters or groups.
        lr: default 1e-4 (authors' code).
        betas: default (0.96, 0.99) (paper).
        gamma: default 0.01 (paper).
        eps: default 1e-12 (paper).
        weight_decay: decoupled, default 0.2 (paper).
        every: steps from one estimate to the next, default 10 (paper).
        seed: of the random signs, default 0.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 1e-4, betas: Betas = (0.96, 0.99), gamma: float = 0.01,
                 eps: float = 1e-12, weight_decay: float = 0.2, every: int = 10, seed: int = 0,
                 **options: Unpack[Probed]) -> None:  # fmt: skip
        super().__init__(params, lr, direction=Sophia(**named(betas), gamma=gamma, eps=eps),
                         oracle=oracle.Hutchinson(every=every, seed=seed), geometry=Decay(weight_decay=weight_decay),
                         **options)  # fmt: skip


@method("curvature", space=_LR)
class SophiaG(Optimizer):
    """Sophia with the Gauss-Newton-Bartlett estimate every ten steps, from labels that the model draws itself.

    Needs ``step(closure)``, and in the closure the loss of ``opt.labels(logits, y)`` in the place of y.

    Args:
        params: parameters or groups.
        lr: default 1e-4 (authors' code).
        betas: default (0.96, 0.99) (paper).
        gamma: default 0.05 (paper).
        eps: default 1e-12 (paper).
        weight_decay: decoupled, default 0.2 (paper).
        every: steps from one estimate to the next, default 10 (paper).
        seed: of the labels, default 0.
        estimate: the oracle, for targets that are not classes: ``steepest.oracle.GaussNewtonBartlett(every=10, sample=...)``;
            then ``every`` and ``seed`` are its own.
        options: see :class:`steepest.Optimizer`.

    Example:
        >>> import torch, steepest
        >>> model, x, y = torch.nn.Linear(3, 2), torch.randn(8, 3), torch.randint(2, (8,))
        >>> opt = steepest.SophiaG(model.parameters(), lr=1e-2)
        >>> def closure():
        ...     logits = model(x)
        ...     return torch.nn.functional.cross_entropy(logits, opt.labels(logits, y))
        >>> losses = [float(opt.step(closure)) for _ in range(20)]
        >>> losses[-1] < losses[0], opt.counters.forwards
        (True, 22)
    """

    def __init__(self, params: Any, lr: float = 1e-4, betas: Betas = (0.96, 0.99), gamma: float = 0.05,
                 eps: float = 1e-12, weight_decay: float = 0.2, every: int = 10, seed: int = 0,
                 estimate: oracle.GaussNewtonBartlett | None = None, **options: Unpack[Probed]) -> None:  # fmt: skip
        found = oracle.GaussNewtonBartlett(every=every, seed=seed) if estimate is None else estimate
        super().__init__(params, lr, direction=Sophia(**named(betas), gamma=gamma, eps=eps), oracle=found,
                         geometry=Decay(weight_decay=weight_decay), **options)  # fmt: skip

    def labels(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The targets, or where the curvature is estimated labels drawn from the model's own outputs."""
        assert isinstance(self.oracle, oracle.GaussNewtonBartlett)
        return self.oracle.labels(outputs, targets)


@method("curvature", space={"floor": ("log", 1e-7, 1e-1)})
class OASIS(Optimizer):
    """OASIS: divide by the Hessian's diagonal, with a step size that is found from the last move.

    For whole data (or large batches) in ``step(closure)``, with a closure that only computes and returns the loss.

    Args:
        params: parameters or groups.
        decay: of the diagonal, default 0.99.
        floor: of its absolute value, default 1e-5.
        first: estimates that the diagonal begins with, default 10 (ours).
        eta0: the first step size, default 1e-3 (ours).
        lr: multiplies the step size, default 1.
        seed: of the random signs, default 0.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, decay: float = 0.99, floor: float = 1e-5, first: int = 10, eta0: float = 1e-3,
                 lr: float = 1.0, seed: int = 0, **options: Unpack[Estimating]) -> None:  # fmt: skip
        super().__init__(params, lr, direction=DiagonalHessian(decay=decay, floor=floor), step_size=stepsize.OASIS(eta0=eta0),
                         oracle=oracle.Hutchinson(first=first, seed=seed), **options)  # fmt: skip


@method("curvature", space={"lr": ("log", 1e-5, 1e-1)})
class INNAprop(Optimizer):
    """INNAprop: inertial Newton dynamics without a Hessian, scaled as RMSprop is, at AdamW's memory.

    Args:
        params: parameters or groups.
        lr: default 1e-3 (paper).
        alpha: default 0.1 (paper, for fast training; 2.0 for the best final accuracy).
        damping: the paper's β, default 0.9 (2.0 with alpha=2.0).
        decay: the paper's σ, of the second moment, default 0.999 (paper).
        eps: default 1e-8 (paper).
        weight_decay: decoupled, default 0.01 (paper).
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 1e-3, alpha: float = 0.1, damping: float = 0.9, decay: float = 0.999,
                 eps: float = 1e-8, weight_decay: float = 0.01, **options: Unpack[Directed]) -> None:  # fmt: skip
        inner = INNApropDirection(alpha=alpha, damping=damping, decay=decay, eps=eps, weight_decay=weight_decay)
        super().__init__(params, lr, direction=inner, **options)
