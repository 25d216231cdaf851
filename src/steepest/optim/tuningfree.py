"""Methods that find their step size themselves; ``lr`` multiplies it and is 1."""

from __future__ import annotations

import math
from typing import Any, Literal, Unpack

from steepest import direction as D
from steepest import point, stepsize
from steepest.core.optimizer import Optimizer
from steepest.core.options import Sized, SizedAsked, SizedDecayed, SizedDirected
from steepest.core.part import Per, check_number
from steepest.geometry import Decay
from steepest.optim.adaptive import Betas, named
from steepest.optim.guarded import Guarded
from steepest.optim.registry import method


@method("stepsize", space={"c": ("log", 0.1, 1.0), "eta_max": ("log", 0.1, 100.0)})
class SPS(Optimizer):
    """SGD with the stochastic Polyak step.

    Args:
        params: parameters or groups.
        c: default 0.5 (paper, convex; 0.2 for deep nets).
        f_star: a lower bound of every mini-batch loss, default 0.
        eta_max: default 10.
        growth: largest factor between consecutive steps, default infinite.
        lr: multiplies the step, default 1.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, c: float = 0.5, f_star: float = 0.0, eta_max: float = 10.0,
                 growth: float = float("inf"), lr: float = 1.0, **options: Unpack[Sized]) -> None:  # fmt: skip
        step = stepsize.SPS(c=c, f_star=f_star, eta_max=eta_max, growth=growth)
        super().__init__(params, lr, step_size=step, **options)


@method("stepsize", forwards=2, space={"c": ("log", 0.01, 0.5), "eta_max": ("log", 0.1, 100.0)})
class SLS(Optimizer):
    """SGD with the stochastic Armijo line search.

    Args:
        params: parameters or groups.
        c: default 0.1 (paper, deep nets).
        eta_max: default 1 (authors' code).
        batches_per_epoch: sets how fast the step may grow, default 500 (authors' code).
        growth: of the first trial within an epoch, default 2.
        shrink: default 0.9 (paper).
        reset: "grow", "keep" or "max".
        lr: multiplies the step, default 1.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(
        self,
        params: Any,
        c: float = 0.1,
        eta_max: float = 1.0,
        batches_per_epoch: int = 500,
        growth: float = 2.0,
        shrink: float = 0.9,
        reset: Literal["grow", "keep", "max"] = "grow",
        lr: float = 1.0,
        **options: Unpack[Sized],
    ) -> None:
        step = stepsize.SLS(c=c, eta_max=eta_max, batches_per_epoch=batches_per_epoch, growth=growth, shrink=shrink,
                            reset=reset)  # fmt: skip
        super().__init__(params, lr, step_size=step, **options)


@method("stepsize", forwards=2, space={"c": ("log", 0.1, 0.9), "eta_max": ("log", 0.1, 100.0)})
class PoNoS(Optimizer):
    """SGD with the Polyak nonmonotone stochastic line search.

    Args:
        params: parameters or groups.
        c: default 0.5 (paper).
        c_p: default 0.1 (paper).
        delta: default 0.5 (paper).
        eta_max: default 10 (paper).
        xi: default 1 (paper).
        f_star: default 0.
        stored: past of the reference, "mean" (authors' code) or "max" (the paper, as quoted by third parties).
        lr: multiplies the step, default 1.
        forget: backtracks forgotten a step, default 1 (paper); on the long run there are at most as many.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, c: float = 0.5, c_p: float = 0.1, delta: float = 0.5, eta_max: float = 10.0,
                 xi: float = 1.0, f_star: float = 0.0, stored: Literal["mean", "max"] = "mean", lr: float = 1.0,
                 forget: float = 1.0, **options: Unpack[Sized]) -> None:  # fmt: skip
        step = stepsize.PoNoS(c=c, c_p=c_p, delta=delta, eta_max=eta_max, xi=xi, f_star=f_star, forget=forget,
                              stored=stored)  # fmt: skip
        super().__init__(params, lr, step_size=step, **options)


@method("stepsize", space={"reps_rel": ("log", 1e-8, 1e-2)})
class DoG(Guarded):
    """SGD with distance over gradients as step size.

    Args:
        params: parameters or groups.
        reps_rel: size of the first step relative to 1 + |x0|, default 1e-6 (paper).
        G0: what the sum of squared gradients starts from, default 1e-8 (paper).
        weight_decay: coupled, default 0.
        per: one step size for "all" (paper), a "group" or each "tensor".
        lr: multiplies the step, default 1.
        options: see :class:`steepest.optim.guarded.Guarded`; with ``point=steepest.point.Average()`` it is what the paper
            evaluates.
    """

    def __init__(self, params: Any, reps_rel: float = 1e-6, G0: float = 1e-8, weight_decay: float = 0.0,
                 per: Per = "all", lr: float = 1.0, **options: Unpack[SizedDirected]) -> None:  # fmt: skip
        inner = D.Coupled(D.Direction(), weight_decay=weight_decay)
        step = stepsize.DoG(reps_rel=reps_rel, G0=G0, per=per)
        super().__init__(params, lr, direction=inner, step_size=step, **options)


@method("stepsize", space={"reps_rel": ("log", 1e-8, 1e-2)})
class LDoG(DoG):
    """SGD with distance over gradients as step size, tensor by tensor.

    Args:
        params: parameters or groups.
        reps_rel: size of a tensor's first step relative to 1 + |x0|, default 1e-6 (paper; 1e-8 for its T5).
        G0: what the sum of squared gradients starts from, default 1e-8 (paper).
        weight_decay: coupled, default 0.
        lr: multiplies the step, default 1.
        options: see :class:`steepest.optim.guarded.Guarded`; with ``point=steepest.point.Average()`` it is what the paper
            evaluates.
    """

    def __init__(self, params: Any, reps_rel: float = 1e-6, G0: float = 1e-8, weight_decay: float = 0.0,
                 lr: float = 1.0, **options: Unpack[SizedDirected]) -> None:  # fmt: skip
        super().__init__(params, reps_rel, G0, weight_decay, "tensor", lr, **options)


@method("stepsize", space={"reps_rel": ("log", 1e-8, 1e-2)})
class TDoG(Guarded):
    """SGD with tamed distance over gradients as step size: with high probability it stays near its start.

    Args:
        params: parameters or groups.
        reps_rel: size of the first r relative to 1 + |x0|, default 1e-6 (as DoG).
        delta: probability with which it may go astray, default 0.01.
        bound: a norm that no gradient exceeds; default 0: the largest one seen.
        steps: at least as many as the run has, default 10,000.
        weight_decay: coupled, default 0.
        per: one step size for "all" (paper), a "group" or each "tensor".
        lr: multiplies the step, default 1.
        options: see :class:`steepest.optim.guarded.Guarded`; theory is about an average of the points
            (``point=steepest.point.Average()``).
    """

    def __init__(self, params: Any, reps_rel: float = 1e-6, delta: float = 0.01, bound: float = 0.0,
                 steps: int = 10_000, weight_decay: float = 0.0, per: Per = "all", lr: float = 1.0,
                 **options: Unpack[SizedDirected]) -> None:  # fmt: skip
        inner = D.Coupled(D.Direction(), weight_decay=weight_decay)
        step = stepsize.TDoG(reps_rel=reps_rel, delta=delta, bound=bound, steps=steps, per=per)
        super().__init__(params, lr, direction=inner, step_size=step, **options)


@method("stepsize", forwards=2, backwards=2, space={"reps_rel": ("log", 1e-8, 1e-2)})
class UDoG(Guarded):
    """U-DoG: accelerated distance over gradients, two gradients a step; the weights are the average it returns.

    Args:
        params: parameters or groups.
        reps_rel: size of the first step relative to 1 + |x0|, default 1e-6 (paper).
        lr: multiplies the steps, default 1.
        options: see :class:`steepest.optim.guarded.Guarded`.
    """

    def __init__(self, params: Any, reps_rel: float = 1e-6, lr: float = 1.0, **options: Unpack[SizedAsked]) -> None:
        super().__init__(params, lr, point=point.UniXGrad(), step_size=stepsize.UDoG(reps_rel=reps_rel), **options)


@method("stepsize", space={"reps_rel": ("log", 1e-8, 1e-2)})
class ADoG(Guarded):
    """A-DoG: accelerated distance over gradients, one gradient a step.

    Args:
        params: parameters or groups.
        reps_rel: size of the first step relative to 1 + |x0|, default 1e-6 (paper).
        lr: multiplies the steps, default 1.
        options: see :class:`steepest.optim.guarded.Guarded`.
    """

    def __init__(self, params: Any, reps_rel: float = 1e-6, lr: float = 1.0, **options: Unpack[SizedAsked]) -> None:
        super().__init__(params, lr, point=point.AcceleGrad(), step_size=stepsize.ADoG(reps_rel=reps_rel), **options)


@method("stepsize", space={"lr": ("log", 1e-3, 100.0)})
class AdaGradNorm(Guarded):
    """SGD with the scalar step size of AdaGrad.

    Args:
        params: parameters or groups.
        lr: the length of the first step, in units of x, default 1 (paper's eta).
        b0: what the root of the sum of squared gradients starts from, default 1e-8.
        weight_decay: coupled, default 0.
        per: one step size for "all" (paper), a "group" or each "tensor".
        options: see :class:`steepest.optim.guarded.Guarded`; in the convex theory the average of the points is returned
            (``point=steepest.point.Average(gamma=0)``).
    """

    def __init__(self, params: Any, lr: float = 1.0, b0: float = 1e-8, weight_decay: float = 0.0, per: Per = "all",
                 **options: Unpack[SizedDirected]) -> None:  # fmt: skip
        inner = D.Coupled(D.Direction(), weight_decay=weight_decay)
        super().__init__(params, lr, direction=inner, step_size=stepsize.AdaGradNorm(b0=b0, per=per), **options)


@method("stepsize", space={"d0": ("log", 1e-8, 1e-3)})
class DAdaptAdam(Guarded):
    """Adam with D-Adaptation.

    Args:
        params: parameters or groups.
        lr: the schedule's multiplier, default 1 (paper).
        betas: default (0.9, 0.999).
        eps: default 1e-8.
        weight_decay: decoupled, default 0.
        d0: first estimate of the distance, default 1e-6 (paper).
        growth_rate: largest growth of the estimate in a step, default infinite (paper; authors: 1.02 if unstable).
        per: one estimate for "all" (paper), a "group" or each "tensor".
        options: see :class:`steepest.optim.guarded.Guarded`.
    """

    def __init__(self, params: Any, lr: float = 1.0, betas: Betas = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0.0, d0: float = 1e-6, per: Per = "all",
                 growth_rate: float = math.inf, **options: Unpack[SizedDecayed]) -> None:  # fmt: skip
        inner = D.Adam(**named(betas), eps=eps, bias_correction=False)
        super().__init__(params, lr, direction=inner, step_size=stepsize.DAdaptAdam(d0=d0, per=per, growth_rate=growth_rate),
                         geometry=Decay(weight_decay=weight_decay), **options)  # fmt: skip


@method("stepsize", space={"d0": ("log", 1e-8, 1e-3)})
class DAdaptSGD(Guarded):
    """Gradient descent with D-Adaptation; give it a falling schedule.

    Args:
        params: parameters or groups.
        lr: the schedule's multiplier, default 1 (paper).
        weight_decay: coupled, default 0.
        d0: first estimate of the distance, default 1e-6 (paper).
        growth_rate: largest growth of the estimate in a step, default infinite (paper; authors: 1.02 if unstable).
        momentum: β of an average of steps, default 0 (authors' code).
        per: one estimate for "all" (paper), a "group" or each "tensor".
        options: see :class:`steepest.optim.guarded.Guarded`.
    """

    def __init__(self, params: Any, lr: float = 1.0, weight_decay: float = 0.0, d0: float = 1e-6, per: Per = "all",
                 growth_rate: float = math.inf,
                 momentum: float = 0.0, **options: Unpack[SizedDirected]) -> None:  # fmt: skip
        inner: D.Direction = D.Coupled(D.Direction(), weight_decay=weight_decay)
        momentum = check_number("DAdaptSGD", "momentum", momentum, "[0, 1)")
        kind = stepsize.DAdaptMomentum if momentum else stepsize.DAdaptSGD
        if momentum:
            inner = D.WeightedMomentum(momentum=momentum, weight_decay=weight_decay)
        super().__init__(
            params, lr, direction=inner, step_size=kind(d0=d0, per=per, growth_rate=growth_rate), **options
        )


@method("stepsize", space={"d0": ("log", 1e-8, 1e-3)})
class DAdaptAdaGrad(Guarded):
    """AdaGrad by dual averaging with D-Adaptation.

    Args:
        params: parameters or groups.
        lr: the schedule's multiplier, default 1 (paper).
        weight_decay: coupled, default 0.
        initial_accumulator_value: what the sum of squares starts from, default 0 (paper: a bound of all squared gradients;
            authors' code: 1e-6).
        d0: first estimate of the distance, default 1e-6 (paper).
        growth_rate: largest growth of the estimate in a step, default infinite (paper; authors: 1.02 if unstable).
        bound: "inner", which trains, or "norms", the paper's Algorithm 2; see :class:`steepest.stepsize.DAdaptAdaGrad`.
        per: one estimate for "all" (paper), a "group" or each "tensor".
        options: see :class:`steepest.optim.guarded.Guarded`.

    Note: the authors advise to use Adam or SGD instead, whose estimates grow faster.
    """

    def __init__(self, params: Any, lr: float = 1.0, weight_decay: float = 0.0, initial_accumulator_value: float = 0.0,
                 d0: float = 1e-6, bound: Literal["inner", "norms"] = "inner", per: Per = "all",
                 growth_rate: float = math.inf, **options: Unpack[SizedDirected]) -> None:  # fmt: skip
        inner = D.DualAdaGrad(weight_decay=weight_decay, initial_accumulator_value=initial_accumulator_value)
        step = stepsize.DAdaptAdaGrad(d0=d0, bound=bound, per=per, growth_rate=growth_rate)
        super().__init__(params, lr, direction=inner, step_size=step, **options)  # fmt: skip


@method("stepsize", space={"d0": ("log", 1e-8, 1e-3)})
class DAdaptDual(Guarded):
    """Dual averaging with D-Adaptation: the method of the theorem.

    Args:
        params: parameters or groups.
        lr: the schedule's multiplier, default 1 (paper).
        weight_decay: coupled, default 0.
        d0: first estimate of the distance, default 1e-6 (paper).
        growth_rate: largest growth of the estimate in a step, default infinite (paper; authors: 1.02 if unstable).
        G0: a bound of all gradients' norms, default 0 (paper's Algorithm 1).
        bound: "inner", which trains, or "norms", the paper's Algorithm 1; see :class:`steepest.stepsize.DAdaptDual`.
        per: one estimate for "all" (paper), a "group" or each "tensor".
        options: see :class:`steepest.optim.guarded.Guarded`; the theorem is about an average of the points
            (``point=steepest.point.Average(gamma=0)``).
    """

    def __init__(self, params: Any, lr: float = 1.0, weight_decay: float = 0.0, d0: float = 1e-6, G0: float = 0.0,
                 bound: Literal["inner", "norms"] = "inner", per: Per = "all",
                 growth_rate: float = math.inf, **options: Unpack[SizedDirected]) -> None:  # fmt: skip
        step = stepsize.DAdaptDual(d0=d0, G0=G0, bound=bound, per=per, growth_rate=growth_rate)
        super().__init__(params, lr, direction=D.DualAveraging(weight_decay=weight_decay), step_size=step, **options)
