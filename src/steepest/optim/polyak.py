"""Line searches and Polyak's step along preconditioned directions (``lr`` multiplies them and is 1), and models."""

from __future__ import annotations

from typing import Any, Literal, Unpack

from steepest import direction as D
from steepest import point, stepsize
from steepest.core.optimizer import Optimizer
from steepest.core.options import AskedDirected, SizedDirected
from steepest.optim.adaptive import Betas, named
from steepest.optim.guarded import Guarded
from steepest.optim.registry import method


@method("stepsize", space={"eps": ("log", 1e-12, 1e-2)})
class AdaGradSQR(Optimizer):
    """SANIA AdaGrad-SQR: AdaGrad without root and without learning rate; the units of x do not matter.

    Args:
        params: parameters or groups.
        eps: floor of the sum of squares, default 0 (paper, as quoted by third parties).
        root: divide by the root, default False.
        f_star: a lower bound of every mini-batch loss, default 0.
        lr: multiplies the step, default 1.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, eps: float = 0.0, root: bool = False, f_star: float = 0.0, lr: float = 1.0,
                 **options: Unpack[SizedDirected]) -> None:  # fmt: skip
        inner = D.AdaGradSQR(eps=eps, root=root)
        super().__init__(params, lr, direction=inner, step_size=stepsize.SANIA(f_star=f_star), **options)


@method("stepsize", space={"eps": ("log", 1e-12, 1e-2)})
class AdamSQR(Optimizer):
    """SANIA Adam-SQR: Adam's second moment without root, no momentum and no learning rate.

    Args:
        params: parameters or groups.
        decay: β of the second moment, default 0.999 (authors' code).
        eps: floor of the second moment, default 0 (paper, as quoted by third parties).
        root: divide by the root, default False.
        f_star: a lower bound of every mini-batch loss, default 0.
        lr: multiplies the step, default 1.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, decay: float = 0.999, eps: float = 0.0, root: bool = False, f_star: float = 0.0,
                 lr: float = 1.0, **options: Unpack[SizedDirected]) -> None:  # fmt: skip
        inner = D.AdamSQR(decay=decay, eps=eps, root=root)
        super().__init__(params, lr, direction=inner, step_size=stepsize.SANIA(f_star=f_star), **options)


@method("stepsize", forwards=2, space={"lr": ("log", 1e-3, 10.0), "c": ("log", 0.01, 0.5)})
class SMB(Optimizer):
    """Stochastic model building: SGD whose too long steps are shortened and turned, tensor by tensor.

    Args:
        params: parameters or groups.
        lr: length of the plain step, default 0.5 (paper's experiments).
        c: sufficient decrease, default 0.1 (paper's experiments).
        kappa: the paper's η, default 0.99 (authors' code).
        weight_decay: coupled, default 0.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 0.5, c: float = 0.1, kappa: float = 0.99, weight_decay: float = 0.0,
                 **options: Unpack[AskedDirected]) -> None:  # fmt: skip
        inner = D.Coupled(D.Direction(), weight_decay=weight_decay)
        super().__init__(params, lr, direction=inner, point=point.SMB(c=c, kappa=kappa), **options)


@method("stepsize", forwards=2, space={"lr": ("log", 1e-3, 10.0), "c": ("log", 0.01, 0.5)})
class SMBi(Guarded):
    """Stochastic model building whose model is made on the next batch: the variant with a convergence theory.

    Args:
        params: parameters or groups.
        lr: length of the plain step, default 0.5 (paper's experiments).
        c: sufficient decrease, default 0.1 (paper's experiments).
        kappa: the paper's η, default 0.99 (authors' code).
        weight_decay: coupled, default 0; not while a gradient waits.
        options: see :class:`steepest.optim.guarded.Guarded`.
    """

    def __init__(self, params: Any, lr: float = 0.5, c: float = 0.1, kappa: float = 0.99, weight_decay: float = 0.0,
                 **options: Unpack[AskedDirected]) -> None:  # fmt: skip
        inner = D.Coupled(D.Direction(), weight_decay=weight_decay)
        super().__init__(params, lr, direction=inner, point=point.SMBi(c=c, kappa=kappa), **options)


@method("stepsize", forwards=2, space={"c": ("log", 0.01, 0.9), "eta_max": ("log", 0.1, 100.0)})
class PoNoSPrec(Guarded):
    """PoNoS along Adam's direction without momentum; slopes are ⟨g, d⟩.

    Args:
        params: parameters or groups.
        c: default 0.1 (authors' configuration of this variant).
        c_p: default 0.1 (authors' configuration).
        delta: default 0.5 (PoNoS; the configuration has 0.9 and no memory, at three times the trials).
        eta_max: default 10 (authors' configuration).
        betas: default (0, 0.999); with a momentum, steps whose direction points uphill are left out.
        eps: default 1e-8.
        xi: default 1.
        f_star: default 0.
        stored: past of the reference, "mean" or "max", see :class:`steepest.PoNoS`.
        lr: multiplies the step, default 1.
        options: see :class:`steepest.optim.guarded.Guarded`.

    Note: the authors' code of this variant cannot run.  By reading, it moves along Adam with momentum 0.9 but measures
    the slope as ‖g‖² in the norm of the preconditioner, which is not the slope of that move.
    """

    def __init__(
        self,
        params: Any,
        c: float = 0.1,
        c_p: float = 0.1,
        delta: float = 0.5,
        eta_max: float = 10.0,
        betas: Betas = (0.0, 0.999),
        eps: float = 1e-8,
        xi: float = 1.0,
        f_star: float = 0.0,
        stored: Literal["mean", "max"] = "mean",
        lr: float = 1.0,
        **options: Unpack[SizedDirected],
    ) -> None:
        step = stepsize.PoNoS(c=c, c_p=c_p, delta=delta, eta_max=eta_max, xi=xi, f_star=f_star, stored=stored)
        super().__init__(params, lr, direction=D.Adam(**named(betas), eps=eps), step_size=step, **options)
