"""The papers' equations, one method a function, in numpy and nothing else.

Each is a generator that yields x after each step; ``f`` is the loss, ``etas`` are the learning rates of the steps.  The
letters are the papers'.  Nothing here knows the library.
"""

from __future__ import annotations

import math

import numpy as np

from tests.oracle.equations import Moments, Path, Rates, caution, dot
from tests.oracle.problems import Problem, Vector, join

# ---- gradient descent -----------------------------------------------------------------------------------------------


def sgd(f: Problem, x: Vector, etas: Rates, mu: float = 0.0, damp: float = 0.0, nesterov: bool = False,
        lam: float = 0.0) -> Path:  # fmt: skip
    buf = None
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t) + lam * x
        buf = g if buf is None else mu * buf + (1 - damp) * g  # the first gradient is not dampened
        d = g if mu == 0 else g + mu * buf if nesterov else buf
        x = x - eta * d
        yield x


def sign_sgd(f: Problem, x: Vector, etas: Rates) -> Path:
    for t, eta in enumerate(etas, 1):
        x = x - eta * np.sign(f.grad(x, t))
        yield x


def prox_sgd(f: Problem, x: Vector, etas: Rates, lam: float) -> Path:
    for t, eta in enumerate(etas, 1):
        z = x - eta * f.grad(x, t)
        x = np.where(z > eta * lam, z - eta * lam, np.where(z < -eta * lam, z + eta * lam, 0.0))
        yield x


def box_sgd(f: Problem, x: Vector, etas: Rates, low: float, high: float) -> Path:
    for t, eta in enumerate(etas, 1):
        x = np.minimum(np.maximum(x - eta * f.grad(x, t), low), high)
        yield x


def nearest_on_simplex(z: Vector) -> Vector:
    """min ‖p - z‖ with p ≥ 0, Σp = 1: p = max(z - θ, 0), with θ found by bisection on Σp = 1."""
    low, high = float(z.min()) - 1.0, float(z.max())
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if np.maximum(z - middle, 0).sum() > 1 else (low, middle)
    return np.asarray(np.maximum(z - high, 0))


def simplex_sgd(f: Problem, x: Vector, etas: Rates) -> Path:
    for t, eta in enumerate(etas, 1):
        z = f.parts(x - eta * f.grad(x, t))
        x = join([np.ones(1) if p.ndim == 0 else [nearest_on_simplex(row) for row in p.reshape(-1, p.shape[-1])]
                  for p in z])  # fmt: skip
        yield x


# ---- adaptive -------------------------------------------------------------------------------------------------------


def adam(f: Problem, x: Vector, etas: Rates, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, lam: float = 0.0,
         decoupled: float = 0.0) -> Path:  # fmt: skip
    d = Moments(b1, b2, eps)
    for t, eta in enumerate(etas, 1):
        x = x - eta * (d(f.grad(x, t) + lam * x) + decoupled * x)
        yield x


def amsgrad(f: Problem, x: Vector, etas: Rates, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8,
            lam: float = 0.0, corrects: bool = True) -> Path:  # fmt: skip
    m = v = top = 0 * x
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t) + lam * x
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        top = np.maximum(top, v)  # of the uncorrected v
        mh, vh = (m / (1 - b1**t), top / (1 - b2**t)) if corrects else (m, top)
        x = x - eta * mh / (np.sqrt(vh) + eps)
        yield x


def nadam(f: Problem, x: Vector, etas: Rates, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, psi: float = 4e-3,
          lam: float = 0.0) -> Path:  # fmt: skip
    m, v, prod = 0 * x, 0 * x, 1.0
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t) + lam * x
        mu, mu_next = (b1 * (1 - 0.96 ** (i * psi) / 2) for i in (t, t + 1))
        m, v, prod = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2, prod * mu  # torch: b1 and not mu in m
        mh = mu_next * m / (1 - prod * mu_next) + (1 - mu) * g / (1 - prod)
        x = x - eta * mh / (np.sqrt(v / (1 - b2**t)) + eps)
        yield x


def adabelief(f: Problem, x: Vector, etas: Rates, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8,
              lam: float = 0.0) -> Path:  # fmt: skip
    m = s = 0 * x
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t)
        m = b1 * m + (1 - b1) * g
        s = b2 * s + (1 - b2) * (g - m) ** 2 + eps
        x = x - eta * (m / (1 - b1**t) / (np.sqrt(s / (1 - b2**t)) + eps) + lam * x)
        yield x


def cautious_adamw(f: Problem, x: Vector, etas: Rates, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-6,
                   lam: float = 0.0, scale: str = "count") -> Path:  # fmt: skip
    u = Moments(b1, b2, eps)
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t)
        x = x - eta * lam * x - eta * caution(f, u(g), g, scale)
        yield x


def cautious_lion(f: Problem, x: Vector, etas: Rates, b1: float = 0.95, b2: float = 0.98, lam: float = 0.0,
                  scale: str = "count") -> Path:  # fmt: skip
    m = 0 * x
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t)
        u = np.sign(b1 * m + (1 - b1) * g)
        x = x - eta * lam * x - eta * caution(f, u, g, scale)
        m = b2 * m + (1 - b2) * g
        yield x


def mars(f: Problem, x: Vector, etas: Rates, b1: float = 0.95, b2: float = 0.99, eps: float = 1e-8,
         gamma: float = 0.025, lam: float = 0.0, clip: bool = True, sign: bool = False) -> Path:  # fmt: skip
    d, m, old = Moments(b1, b2, eps), 0 * x, None
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t)
        c = g if old is None else g + gamma * b1 / (1 - b1) * (g - old)  # x_0 = x_1: no correction at the first step
        if clip:
            c = join([p / max(1.0, float(np.linalg.norm(p))) for p in f.parts(c)])
        if sign:  # any direction with a momentum: here Lion's
            step, m = np.sign(b1 * m + (1 - b1) * c), b2 * m + (1 - b2) * c
        else:
            step = d(c)
        x, old = x - eta * (step + lam * x), g
        yield x


# ---- other points ---------------------------------------------------------------------------------------------------


def sam(f: Problem, x: Vector, etas: Rates, rho: float = 0.05, mu: float = 0.9, lam: float = 0.0) -> Path:
    buf = 0 * x
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t)
        norm = math.sqrt(dot(g, g))
        e = rho * g / norm if norm > 0 else 0 * g
        buf = mu * buf + f.grad(x + e, t) + lam * x
        x = x - eta * buf
        yield x


def lookahead_adamw(f: Problem, x: Vector, etas: Rates, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8,
                    lam: float = 0.01, alpha: float = 0.5, k: int = 5) -> Path:  # fmt: skip
    slow, d = x, Moments(b1, b2, eps)
    for t, eta in enumerate(etas, 1):
        x = x - eta * (d(f.grad(x, t)) + lam * x)
        if t % k == 0:
            x = slow = slow + alpha * (x - slow)
        yield x


def extragradient(f: Problem, z: Vector, etas: Rates) -> Path:
    for t, eta in enumerate(etas, 1):
        half = z - eta * f.grad(z, t)
        z = z - eta * f.grad(half, t)
        yield z


def extra_adam(f: Problem, z: Vector, etas: Rates, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> Path:
    d = Moments(b1, b2, eps)  # fed by both half steps, and its counter counts both
    for t, eta in enumerate(etas, 1):
        half = z - eta * d(f.grad(z, t))
        z = z - eta * d(f.grad(half, t))
        yield z


def optimistic(f: Problem, z: Vector, etas: Rates) -> Path:
    old = 0 * z
    for t, eta in enumerate(etas, 1):
        F = f.grad(z, t)
        z, old = z - 2 * eta * F + eta * old, F
        yield z


def optimistic_adam(f: Problem, z: Vector, etas: Rates, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> Path:
    d, old = Moments(b1, b2, eps), 0 * z
    for t, eta in enumerate(etas, 1):
        p = d(f.grad(z, t))
        z, old = z - 2 * eta * p + eta * old, p
        yield z
