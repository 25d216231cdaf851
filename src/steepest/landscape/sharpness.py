"""How sharp the loss is: along one direction, and at the worst point nearby."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from steepest.core.evaluate import Counters
from steepest.landscape.loss import Loss
from steepest.landscape.operator import since


@dataclass(frozen=True)
class Along:
    """The loss along a direction: f(x - ηd) ≈ f(x) - η slope + η²/2 curvature.

    Args:
        slope: gᵀd; positive if the step x - ηd goes downhill.
        curvature: dᵀHd.
        sharpness: dᵀHd / dᵀd, the directional sharpness.
        best_lr: the η that lowers the quadratic model most, slope / curvature; infinite if the loss bends downwards.
        cost: evaluations used.
    """

    slope: float
    curvature: float
    sharpness: float
    best_lr: float
    cost: Counters


def directional_sharpness(f: Loss, direction: Tensor | Iterable[Tensor] | None = None) -> Along:
    r"""Slope and curvature along a direction.

    .. math:: \frac{d^\top \nabla^2 f(x)\, d}{\lVert d \rVert^2}

    With the update of an optimizer as the direction, twice ``best_lr`` is the step size beyond which the loss rises in
    the quadratic model; a step size that stays above it by much cannot last.

    >>> f = Loss(torch.tensor([1.0, 1.0]), lambda x: (x[0] ** 2 + 4 * x[1] ** 2) / 2)
    >>> along = directional_sharpness(f)
    >>> round(along.sharpness, 4), round(along.best_lr, 4)
    (3.8235, 0.2615)

    Args:
        f: the loss.
        direction: d, a vector or tensors shaped like the parameters; default: the gradient.

    Source: the name is from Pan & Li 2023, arXiv:2306.00204 (from memory), where d is an optimizer's update.
    """
    spent = since(f.counters)
    g = f.gradient()
    d = _vector(f, g if direction is None else direction)
    size = float(d.double() @ d.double())
    if not 0 < size < math.inf:
        raise ValueError(f"the direction must be finite and not zero, its length is {math.sqrt(size)}")
    slope, curvature = float(g.double() @ d.double()), float(d.double() @ f.hessian()(d).double())
    return Along(slope, curvature, curvature / size, slope / curvature if curvature > 0 else math.inf, spent())


@dataclass(frozen=True)
class Sharpness:
    """How much the loss rises nearby.

    Args:
        value: f(x + ε) - f(x).
        loss: f(x).
        worst: ε, as a vector; ‖ε‖ = ρ.
        cost: evaluations used.
    """

    value: float
    loss: float
    worst: Tensor
    cost: Counters


def sam_sharpness(f: Loss, rho: float = 0.05, steps: int = 1) -> Sharpness:
    r"""The rise of the loss at the worst point at distance ρ that is found by ascent.

    .. math:: f\Bigl(x + \rho \frac{g}{\lVert g \rVert}\Bigr) - f(x) \quad\text{(one step)};\qquad
              \max_{\lVert\varepsilon\rVert \le \rho} f(x + \varepsilon) - f(x) \quad\text{(from below, by more)}

    One step is what SAM sees.  Each further step goes to the point of the sphere where the gradient at the last one
    leads, and the best point counts, so the answer is a lower bound of the maximum and grows with the steps.  Where the
    gradient is zero the first step is taken in a random direction.

    Args:
        f: the loss.
        rho: ρ, in units of x; default 0.05 as SAM.
        steps: gradients evaluated.

    Source: Foret et al. 2021, arXiv:2010.01412; several steps are a normalised ascent on the sphere, our choice.
    """
    if not (rho > 0 and math.isfinite(rho)):
        raise ValueError(f"rho must lie in (0, inf), got {rho!r}")
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps!r}")
    spent = since(f.counters)
    here, g = f.value_and_gradient()
    if not bool(g.any()):
        g = torch.randn(f.size, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(g)
    worst = g * (rho / g.norm())
    if steps == 1:
        return Sharpness(f.value(worst) - here, here, worst, spent())
    shift, rise = worst, -math.inf
    for k in range(steps):
        if k < steps - 1:
            there, g = f.value_and_gradient(shift)
        else:
            there = f.value(shift)
        if there - here > rise:
            rise, worst = there - here, shift
        if not bool(g.any()):
            break
        shift = g * (rho / g.norm())
    return Sharpness(rise, here, worst, spent())


def _vector(f: Loss, direction: Tensor | Iterable[Tensor]) -> Tensor:
    if isinstance(direction, Tensor) and direction.shape == (f.size,):
        return direction.to(f.device, f.dtype)
    pieces = [direction] if isinstance(direction, Tensor) else list(direction)
    if [tuple(t.shape) for t in pieces] != [tuple(p.shape) for p in f.params]:
        raise ValueError(
            f"the direction must be a vector of {f.size} numbers or tensors shaped like the {len(f.params)} parameters"
        )
    return f.flat(pieces)


@dataclass(frozen=True)
class Balance:
    """How evenly a product is shared by its two factors.

    Args:
        value: (‖A‖² - ‖B‖²) / 2, Frobenius norms; zero is balanced.
        relative: the value over (‖A‖² + ‖B‖²) / 2, from -1 to 1.
    """

    value: float
    relative: float


def balancedness(A: Tensor, B: Tensor) -> Balance:
    r"""The balancedness of two factors of a product, such as the matrices of LoRA.

    .. math:: \mathcal{B} = \tfrac12 \bigl(\lVert A \rVert_F^2 - \lVert B \rVert_F^2\bigr)

    Gradient flow on a loss of the product A B leaves it as it is; SAM drives it towards zero.

    >>> balancedness(torch.tensor([3.0]), torch.tensor([1.0]))
    Balance(value=4.0, relative=0.8)

    Source: Li, Zhang & He 2024, arXiv:2410.14802 (from memory).
    """
    a, b = (float(torch.linalg.vector_norm(t.detach(), dtype=torch.float64)) ** 2 for t in (A, B))
    return Balance((a - b) / 2, (a - b) / (a + b) if a + b > 0 else 0.0)
