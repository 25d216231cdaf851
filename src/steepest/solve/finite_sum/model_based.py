"""Stochastic model-based minimization: minimize a model of one sample's loss near where you are.

The loss of a sample is h(c(x)): c smooth, h a convex function of one number, or the sum of it over many.  A regularizer r
may stand beside it, of which no more than its prox is known.  Three models of the loss, from coarse to exact: a
tangent of the whole (the subgradient method), h of a tangent of c (prox-linear), the loss itself (proximal point).  The
better the model, the less the length of the step matters.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from steepest.solve.finite_sum.linearized import Prox, linearized
from steepest.solve.problem import Problem, Tree
from steepest.solve.solver import Solver

MODELS = ("subgradient", "prox-linear", "prox-point")
ROUNDS = 50  # of prox-linear steps inside a proximal point


@dataclass(frozen=True)
class Outer:
    """A convex function of one number: its value, a subgradient, and its prox, argmin h(z) + (z - c)²/2τ."""

    value: Callable[[float], float]
    slope: Callable[[float], float]
    prox: Callable[[float, float], float]


#: |c|, max(c, 0) and c²/2
OUTER = {
    "abs": Outer(abs, lambda c: (c > 0) - (c < 0), lambda c, tau: c - max(-tau, min(c, tau))),
    "hinge": Outer(lambda c: max(c, 0.0), lambda c: float(c > 0), lambda c, tau: c - max(0.0, min(c, tau))),
    "square": Outer(lambda c: c * c / 2, lambda c: c, lambda c, tau: c / (1 + tau)),
}


@dataclass
class Walk:
    """What a run leaves: the last point, one drawn with weights 1/β_t (theory is about this one), each sample's loss."""

    x: Tensor
    drawn: Tensor
    drawn_at: int = 0
    losses: list[float] = field(default_factory=list)


def tangent(inner: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """c(x), flat, and its derivative: a row for each of its numbers."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        c = inner(x)
        if not isinstance(c, Tensor) or not c.numel():
            raise TypeError(f"the inner map must return numbers in a tensor, got {c!r}")
        c = c.reshape(-1)
        rows = [torch.autograd.grad(ci, x, retain_graph=i + 1 < len(c))[0].reshape(-1) for i, ci in enumerate(c)]
    return c.detach(), torch.stack(rows)


def model_step(inner: Callable[[Tensor], Tensor], x: Tensor, beta: float, model: str = "prox-linear",
               outer: str = "abs", tol: float = 1e-9, prox: Prox | None = None) -> tuple[Tensor, float]:  # fmt: skip
    r"""One step, :math:`\operatorname{argmin}_y\, f_x(y) + r(y) + \frac{\beta}{2}\lVert y - x\rVert^2`, and h(c(x)).

    Args:
        inner: c, for one sample: one number, or many over whose h is summed.
        x: where we are.
        beta: β, one over the length of the step.
        model: f_x is "subgradient", h(c) + ⟨h'(c), ∇c (y - x)⟩; "prox-linear", h(c + ∇c (y - x)); "prox-point", h(c(y)),
            found by prox-linear steps around the point found before, which works where β exceeds the curvature of h∘c.
        outer: h, "abs", "hinge" or "square".
        tol: when the proximal point stops, relative to the first move.
        prox: of the regularizer, (v, τ) -> argmin_y r(y) + ‖y - v‖²/2τ for v of x's shape; default: no regularizer.

    Returns:
        The next point, and h(c(x)), without r.

    Raises:
        TypeError: the inner map returns no numbers.
        RuntimeError: the step, where it has no closed form, was not found.

    Source: Davis & Drusvyatskiy 2019, arXiv:1803.06523, Algorithm 4.1 (as quoted by third parties); the prox-linear step
    of one number without r is x - (c - prox_{h‖∇c‖²/β}(c)) ∇c/‖∇c‖², others are found in their dual.
    """
    h = OUTER[outer]
    c, J = tangent(inner, x)
    loss, y, first = sum(map(h.value, c.tolist())), x, 0.0
    if model == "subgradient":
        slope = torch.tensor([h.slope(v) for v in c.tolist()]).to(J)
        y = x - ((slope / beta) @ J).view(x.shape)
        return (y if prox is None else prox(y, 1 / beta)), loss
    for _ in range(1 if model == "prox-linear" else ROUNDS):
        level = c.double() + J.double() @ (x - y).double().reshape(-1)  # the tangent at y, looked at in x
        found = (
            closed(level, J, x, beta, h) if prox is None and len(c) == 1 else searched(level, J, x, beta, outer, prox)
        )
        moved, y = float((found - y).norm()), found
        first = first or moved
        if moved <= tol * first or model == "prox-linear":
            break
        c, J = tangent(inner, y)
    return y, loss


def closed(level: Tensor, J: Tensor, x: Tensor, beta: float, h: Outer) -> Tensor:
    """The prox-linear step of one number."""
    c, g = float(level), J.view(x.shape)
    gg = float(g.double().square().sum())
    return x - g * ((c - h.prox(c, gg / beta)) / gg) if gg != 0 else x


def searched(level: Tensor, J: Tensor, x: Tensor, beta: float, outer: str, prox: Prox | None) -> Tensor:
    """The prox-linear step of many, or with a regularizer; in float64."""
    flat = None if prox is None else lambda v, tau: prox(v.view(x.shape), tau).reshape(-1)
    return linearized(level, J.double(), x.double().reshape(-1), beta, outer, flat).view(x.shape).to(x.dtype)


class ConvexComposite(Problem):
    r"""Minimize the mean of h(c(x; ξ)) over samples ξ, and r(x): c smooth, h convex, r known by its prox.

    Args:
        inner: ``inner(x, ξ)`` returns c, one number, or many over whose h is summed.
        x0: where to begin.
        samples: the ξ.
        outer: h, "abs", "hinge" or "square".
        prox: of r, (v, τ) -> argmin_y r(y) + ‖y - v‖²/2τ in the form of x; default: no regularizer.

    Raises:
        ValueError: an unknown outer function, or no samples.
    """

    def __init__(self, inner: Callable[[Tree, Any], Tensor], x0: Tree, samples: Sequence[Any], outer: str = "abs",
                 prox: Callable[[Tree, float], Tree] | None = None) -> None:  # fmt: skip
        one_of("outer", outer, tuple(OUTER))
        if not len(samples):
            raise ValueError("model_based needs at least one sample, got none")
        super().__init__(x0)
        self.inner, self.samples, self.outer, self._prox = inner, samples, outer, prox

    def model_step(self, x: Tensor, i: int, beta: float, model: str) -> tuple[Tensor, float]:
        """:func:`model_step` on sample i; counts one nsample for each derivative of c and one nprox for each prox."""
        return model_step(lambda y: self._inner(y, i), x, beta, model, self.outer, prox=self._prox and self.prox)

    def _inner(self, x: Tensor, i: int) -> Tensor:
        self.counts.nsample += 1
        return self.inner(self.tree(x), self.samples[i])

    def prox(self, x: Tensor, step: float) -> Tensor:
        """The proximal map of r; counts one nprox."""
        self.counts.nprox += 1
        return self.flat(self._prox(self.tree(x), step), like=x) if self._prox else x


@dataclass
class ModelBasedState:
    """Point, the one drawn and its step, Σ 1/β, the last sample's loss, steps, and the words of Python's generator."""

    x: Tensor
    drawn: Tensor
    drawn_at: int
    total: float
    loss: float
    t: int
    random: Tensor


@dataclass(frozen=True)
class ModelBased(Solver[ConvexComposite, ModelBasedState]):
    """Stochastic model-based minimization, one sample a step; see :func:`model_step`.

    Args:
        beta: β_t, a number or a function of t = 1, 2, ...; the paper has √T times a constant.
        model: "subgradient", "prox-linear" or "prox-point".
        seed: of the samples, and of the point that is drawn with weights 1/β_t.

    Measures ``loss``, the loss of the last sample where its step began (inf before the first).

    Source: Davis & Drusvyatskiy 2019, arXiv:1803.06523, Algorithm 4.1 (as quoted by third parties).
    """

    beta: float | Callable[[int], float] = 1.0
    model: str = "prox-linear"
    seed: int = 0
    ranges: ClassVar[dict[str, str]] = {"seed": "[0, inf)"}

    def __post_init__(self) -> None:
        one_of("model", self.model, MODELS)
        super().__post_init__()
        if not callable(self.beta) and not 0 < self.beta < math.inf:
            raise ValueError(f"beta must be positive and finite, got {self.beta}")

    def init(self, problem: ConvexComposite) -> ModelBasedState:
        """Nothing is evaluated yet."""
        x = problem.start
        return ModelBasedState(x, x, 0, 0.0, math.inf, 0, torch.tensor(random.Random(self.seed).getstate()[1]))

    def step(self, problem: ConvexComposite, state: ModelBasedState) -> ModelBasedState:
        """Draw whether this point is the one, draw a sample, and minimize its model."""
        t, chance = state.t + 1, random.Random()
        chance.setstate((3, tuple(state.random.tolist()), None))
        b = float(self.beta(t) if callable(self.beta) else self.beta)
        if not 0 < b < math.inf:
            raise ValueError(f"beta must be positive and finite, got {b} at step {t}")
        total, drawn, drawn_at = state.total + 1 / b, state.drawn, state.drawn_at
        if chance.random() * total <= 1 / b:
            drawn, drawn_at = state.x, t
        x, loss = problem.model_step(state.x, chance.randrange(len(problem.samples)), b, self.model)
        return ModelBasedState(x, drawn, drawn_at, total, loss, t, torch.tensor(chance.getstate()[1]))

    def measure(self, problem: ConvexComposite, state: ModelBasedState) -> dict[str, float]:
        """From the state alone."""
        return {"loss": state.loss}


def one_of(what: str, value: str, known: tuple[str, ...]) -> None:
    """Refuse a word that is not known."""
    if value not in known:
        raise ValueError(f"{what} must be one of {', '.join(map(repr, known))}, got {value!r}")


def model_based(inner: Callable[[Tensor, Any], Tensor], x: Tensor, samples: Sequence[Any], steps: int,
                beta: float | Callable[[int], float], model: str = "prox-linear", outer: str = "abs",
                seed: int = 0, prox: Prox | None = None) -> Walk:  # fmt: skip
    """Minimize the mean of h(c(x; ξ)) over samples, and r(x), one sample a step.

    Args:
        inner: c(x, ξ), one number, or many over whose h is summed.
        x: start; it is not changed.
        samples: the ξ; drawn with replacement.
        steps: how many.
        beta: β_t, a number or a function of t = 1, 2, ...; the paper has √T times a constant.
        model: "subgradient", "prox-linear" or "prox-point".
        outer: h, "abs", "hinge" or "square".
        seed: of the samples, and of the point that is drawn.
        prox: of a regularizer r, see :func:`model_step`; default: none.

    Raises:
        ValueError: an unknown model or outer function, no samples, or β that is not positive.

    Example:
        >>> a = torch.eye(2, dtype=torch.float64)
        >>> found = model_based(lambda x, k: a[k] @ x - 3, torch.zeros(2, dtype=torch.float64), [0, 1], 40, beta=1.0)
        >>> found.x
        tensor([3., 3.], dtype=torch.float64)
    """
    problem = ConvexComposite(inner, x, samples, outer, prox)
    solver, losses = ModelBased(beta, model, seed), []
    state = solver.init(problem)
    for _ in range(steps):  # not solve(), which ends where NaN appears: this function always took all its steps
        state = solver.step(problem, state)
        losses.append(state.loss)
    return Walk(problem.tree(state.x.clone()), problem.tree(state.drawn.clone()), state.drawn_at, losses)
