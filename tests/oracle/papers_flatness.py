"""The papers' equations of methods that ask for the gradient at a point nearby.

Each says what it adds to x before it asks again; the move is SGD with momentum and coupled weight decay for all.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tests.oracle.equations import Path, Rates, dot
from tests.oracle.problems import Problem, Vector

Lean = Callable[[Vector, Vector], Vector]  # gradient and x -> perturbation


def asks_at(lean: Lean, f: Problem, x: Vector, etas: Rates, mu: float = 0.0, lam: float = 0.0) -> Path:
    buf = 0 * x
    for t, eta in enumerate(etas, 1):
        g = f.grad(x + lean(f.grad(x, t), x), t) + lam * x
        buf = mu * buf + g
        x = x - eta * buf
        yield x


def to_radius(u: Vector, n: Vector, rho: float) -> Vector:
    """ρ u / ‖n‖, and nothing where n = 0."""
    norm = math.sqrt(dot(n, n))
    return np.asarray(rho * u / norm) if norm > 0 else 0 * u


def sam(f: Problem, x: Vector, etas: Rates, rho: float = 0.05, **move: float) -> Path:
    """arXiv:2010.01412, Algorithm 1."""
    return asks_at(lambda g, _: to_radius(g, g, rho), f, x, etas, **move)


def asam(f: Problem, x: Vector, etas: Rates, rho: float = 0.5, eta: float = 0.01, **move: float) -> Path:
    """arXiv:2102.11600: ρ T² g / ‖T g‖ with T = |x| + η."""

    def lean(g: Vector, x: Vector) -> Vector:
        T = np.abs(x) + eta
        return to_radius(T**2 * g, T * g, rho)

    return asks_at(lean, f, x, etas, **move)


def vasso(f: Problem, x: Vector, etas: Rates, rho: float = 0.05, theta: float = 0.9, **move: float) -> Path:
    """arXiv:2309.15639: ρ d / ‖d‖ with d ← (1 - θ) d + θ g, beginning with the first g."""
    ds: list[Vector] = []

    def lean(g: Vector, x: Vector) -> Vector:
        ds.append((1 - theta) * ds[-1] + theta * g if ds else g)
        return to_radius(ds[-1], ds[-1], rho)

    return asks_at(lean, f, x, etas, **move)


def info_sam(f: Problem, x: Vector, etas: Rates, rho: float = 0.05, alpha: float = 0.9, eps: float = 1e-12,
             **move: float) -> Path:  # fmt: skip
    """arXiv:2501.06603 as in its authors' code: ρ C g / ‖C g‖, C = 1 / ((m - g)² + ε) with m an average; C = 1 at first."""
    ms: list[Vector] = []

    def lean(g: Vector, x: Vector) -> Vector:
        if not ms:
            ms.append(g)
            return to_radius(g, g, rho)
        ms.append(alpha * ms[-1] + (1 - alpha) * g)
        Cg = g / ((ms[-1] - g) ** 2 + eps)
        return to_radius(Cg, Cg, rho)

    return asks_at(lean, f, x, etas, **move)


def fisher_sam(f: Problem, x: Vector, etas: Rates, rho: float = 0.05, s: float = 0.9, every: int = 100,
               **move: float) -> Path:  # fmt: skip
    """arXiv:2210.05497 as in the authors' code: ρ g / ‖g‖, in the n (1 - s) weights where g² is largest."""
    mask, t = np.ones_like(x), 0

    def lean(g: Vector, x: Vector) -> Vector:
        nonlocal mask, t
        if t % every == 0 and g.any():
            mask = np.zeros_like(g)
            mask[np.argsort(-(g**2))[: g.size - round(g.size * s)]] = 1
        t += 1
        return to_radius(g, g, rho) * mask

    return asks_at(lean, f, x, etas, **move)


def penalty(f: Problem, x: Vector, etas: Rates, gamma: float = 0.05, eps: float = 0.05, side: str = "forward",
            mu: float = 0.0, lam: float = 0.0) -> Path:  # fmt: skip
    """arXiv:2210.02720: g + γ Δ with the difference taken ahead, behind, or on both sides."""
    buf = 0 * x
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t)
        ahead, behind = f.grad(x + eps * g, t), f.grad(x - eps * g, t)
        Delta = {"forward": ahead - g, "backward": g - behind, "centred": (ahead - behind) / 2}[side] / eps
        buf = mu * buf + g + gamma * Delta + lam * x
        x = x - eta * buf
        yield x


def gam(f: Problem, x: Vector, etas: Rates, rho: float = 0.2, rho_prime: float = 0.02, alpha: float = 0.6,
        beta: float = 0.5, gamma: float = 0.03, mu: float = 0.0, lam: float = 0.0, code: bool = False) -> Path:  # fmt: skip
    """arXiv:2303.03108, Appendix D; the authors' code has another m."""
    buf = 0 * x
    for t, eta in enumerate(etas, 1):
        g0 = f.grad(x, t)
        g1 = f.grad(x + to_radius(g0, g0, rho_prime), t)
        z = x + to_radius(g1 - g0, g1 - g0, rho)
        g2 = f.grad(z, t)
        g3 = f.grad(z + to_radius(g2, g2, rho_prime), t)
        n, m = alpha * g1 + (1 - alpha) * g3, (1.0 if code else beta) * g0 + (1 - beta) * g2
        if n.any():
            vertical = m - dot(m, n) / dot(n, n) * n
            n = n - gamma * vertical
        buf = mu * buf + n + lam * x
        x = x - eta * buf
        yield x
