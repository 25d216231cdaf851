"""How stationary a point of a loss with kinks is: the gradient of the Moreau envelope.

A subgradient does not become small near a kink, so it says nothing about how far one is.  The proximal point does: it is
found here by a bundle of linear pieces from below, which brackets the answer, so the error is known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from steepest.core.evaluate import Counters
from steepest.landscape.loss import Loss
from steepest.landscape.operator import since

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Stationarity:
    """The gradient of the Moreau envelope.

    Args:
        value: ‖x - x̂‖ / λ: at the distance λ times this there is a point x̂ with a subgradient not longer than this.
        error: bound on the error of the value, right if f is as weakly convex as was said.
        prox: x̂ - x, as a vector.
        envelope: f(x̂) + ‖x - x̂‖² / 2λ.
        converged: whether the error is within the tolerance.
        cost: evaluations used.
    """

    value: float
    error: float
    prox: Tensor
    envelope: float
    converged: bool
    cost: Counters


def moreau_stationarity(
    f: Loss, lam: float, weak: float | None = None, tol: float = 1e-2, most: int = 100
) -> Stationarity:
    r"""The length of the gradient of the Moreau envelope.

    .. math:: \lVert \nabla f_\lambda(x) \rVert = \tfrac1\lambda \lVert x - \hat x \rVert, \qquad
              \hat x = \operatorname{arg\,min}_y \; f(y) + \tfrac{1}{2\lambda} \lVert y - x \rVert^2

    Of a smooth f it goes to the length of the gradient as λ goes to zero.

    >>> f = Loss(torch.tensor([3.0, 0.2], dtype=torch.float64), lambda x: x.abs().sum())
    >>> found = moreau_stationarity(f, lam=0.5, weak=0.0)
    >>> round(found.value, 2)  # one coordinate moves by λ, the other reaches its kink
    1.08

    Args:
        f: the loss; subgradients are whatever autograd answers.
        lam: λ, in units of x² over units of f.
        weak: ρ, such that f + ρ/2 ‖·‖² is convex; must be below 1/λ; default 1/(2λ), as where the meter comes from.
            Zero for a convex f.
        tol: wanted error of the value, relative to the value or to 1, whichever is larger.
        most: gradients at most; as many vectors are kept.

    Raises:
        ValueError: f turns out less convex than was said: take a smaller λ, or a larger ``weak``.

    Source: Davis & Drusvyatskiy 2019, arXiv:1803.06523 (from memory) for the meter; the bundle method and its bracket are
    textbook.
    """
    if not (lam > 0 and math.isfinite(lam)):
        raise ValueError(f"lam must lie in (0, inf), got {lam!r}")
    rho = 0.5 / lam if weak is None else weak
    if not 0 <= rho < 1 / lam:
        raise ValueError(f"weak must lie in [0, 1/lam) = [0, {1 / lam:g}), got {weak!r}: take a smaller lam")
    spent, mu = since(f.counters), 1 / lam - rho
    d, best, least = torch.zeros(f.size, dtype=torch.float64, device=f.device), None, math.inf
    bundle, found = _Bundle(mu), None
    for k in range(1, most + 1):
        value, g = f.value_and_gradient(d.to(f.dtype))
        size = float(d @ d)
        bundle.add(d, value + rho / 2 * size, g.double() + rho * d, f.dtype)
        if value + size / (2 * lam) < least:
            least, best = value + size / (2 * lam), d
        lower, d = bundle.lowest()
        assert best is not None
        length = float(best.norm()) / lam
        gap = max(least - lower, 0.0) + torch.finfo(f.dtype).eps * abs(least)  # no closer than losses are known
        error = math.sqrt(2 * gap / mu) / lam
        done = error <= tol * max(1.0, length)
        found = Stationarity(length, error, best.to(f.dtype), least, done, spent())
        if done or k == most:
            break
    if found is None:
        raise ValueError(f"most must be at least one gradient, got {most!r}")
    return found


class _Bundle:
    """Linear pieces of a convex function from below, and the lowest point of their maximum plus μ/2 ‖d‖²."""

    def __init__(self, mu: float) -> None:
        self.mu = mu
        self.slopes: list[Tensor] = []
        self.heights: list[float] = []  # of each piece at d = 0
        self.points: list[tuple[Tensor, float]] = []
        self.G = np.zeros((0, 0))
        self.alpha = np.zeros(0)

    def add(self, d: Tensor, value: float, slope: Tensor, dtype: torch.dtype) -> None:
        """One more piece; no piece may lie above a point that was evaluated, or f is less convex than declared."""
        height = value - float(slope @ d)
        for point, there in [*self.points, (d, value)]:
            pieces = [(slope, height)] if point is not d else list(zip(self.slopes, self.heights, strict=True))
            slack = max((h + float(a @ point) - there for a, h in pieces), default=0.0)
            scale = abs(there) + float(slope.norm() * (point.norm() + d.norm())) + 1e-30
            if slack > 1e3 * torch.finfo(dtype).eps * scale:
                raise ValueError("f is less convex than was said: take a smaller lam, or a larger weak")
        self.points.append((d, value))
        self.slopes.append(slope)
        self.heights.append(height)
        m = len(self.slopes)
        row = np.array([float(a @ slope) for a in self.slopes]) / self.mu
        G = np.zeros((m, m))
        G[:-1, :-1], G[-1], G[:, -1] = self.G, row, row
        self.G, self.alpha = G, np.append(self.alpha, 1.0 if m == 1 else 0.0)

    def lowest(self) -> tuple[float, Tensor]:
        """A lower bound of the minimum, by duality, and the point it belongs to."""
        c = np.array(self.heights)
        self.alpha = _on_simplex(self.G, c, self.alpha)
        d = -sum((a * float(w) for a, w in zip(self.slopes, self.alpha, strict=True)), 0 * self.slopes[0]) / self.mu
        return float(c @ self.alpha - self.alpha @ self.G @ self.alpha / 2), d


def _on_simplex(G: Array, c: Array, alpha: Array, most: int = 3000) -> Array:
    """Minimise αᵀGα/2 - cᵀα over weights that sum to 1, two of them at a time."""
    slope = G @ alpha - c
    scale = float(np.abs(slope).max()) + 1e-300
    for _ in range(most):
        i = int(slope.argmin())
        j = int(np.where(alpha > 0, slope, -np.inf).argmax())
        if slope[j] - slope[i] <= 1e-13 * scale:
            break
        bend = G[i, i] + G[j, j] - 2 * G[i, j]
        t = min(float(alpha[j]), (slope[j] - slope[i]) / bend if bend > 0 else math.inf)
        alpha[i], alpha[j] = alpha[i] + t, max(alpha[j] - t, 0.0)
        slope += t * (G[i] - G[j])
    return alpha
