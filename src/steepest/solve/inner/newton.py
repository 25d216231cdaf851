"""Newton's method for a handful of unknowns: for searches in a plane or a small subspace.

The Hessian is taken whole, its eigenvalues by their size (so that a saddle is left and not approached), unknowns in
units in which their curvature is one. A step that does not lower f is halved.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

FALL = 1e-4  # the part of the promised fall that a step must keep (Armijo)


def newton(f: Callable[[Tensor], Tensor], starts: list[Tensor], most: int, tolerance: float) -> tuple[Tensor, float]:
    """A local minimum of f near the best of the starts, and f there; never above the first start.

    Args:
        f: a scalar of a few unknowns, differentiable twice.
        starts: where to begin, float64.
        most: steps.
        tolerance: stop when a step, from the second on, promises less than this part of what has been gained so far.
    """
    with torch.no_grad():
        values = [float(f(start)) for start in starts]
    first, (value, k) = values[0], min((v, k) for k, v in enumerate(values) if v == v or k == 0)
    x = starts[k]
    for tries in range(most):
        g, H = derivatives(f, x)
        step = downhill(g, H)
        promise = float(g @ step)
        if not promise < 0 or (tries and -promise <= tolerance * (first - value)):
            break
        for halvings in range(30):
            trial = x + step / 2**halvings
            with torch.no_grad():
                there = float(f(trial))
            if there <= value + FALL * promise / 2**halvings:
                x, value = trial, there
                break
        else:
            break
    return x, value


def derivatives(f: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient and Hessian."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        (g,) = torch.autograd.grad(f(x), x, create_graph=True)
        rows = (
            [torch.autograd.grad(e, x, retain_graph=True, materialize_grads=True)[0] for e in g]
            if g.requires_grad
            else []
        )
    return g.detach(), torch.stack(rows) if rows else torch.zeros(len(x), len(x), dtype=x.dtype)


def downhill(g: Tensor, H: Tensor) -> Tensor:
    """-|H|⁻¹ g in units in which the diagonal of H is one."""
    unit = H.diagonal().abs()
    unit = torch.where(unit > 0, unit, torch.where(g != 0, g.abs(), 1.0)).rsqrt()
    values, vectors = torch.linalg.eigh(unit[:, None] * (H + H.T) / 2 * unit)
    size = values.abs().clamp(min=1e-8)
    step: Tensor = -unit * (vectors @ ((vectors.T @ (unit * g)) / size))
    return step
