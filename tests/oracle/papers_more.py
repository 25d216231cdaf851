"""The papers' equations, continued: methods that see less than the gradient, and methods that find their own step.

Where the paper draws at random or leaves a sign open (a normal vector, a choice of columns, singular vectors), the
drawing is taken from ``trail``, the run that is judged, after a check that it is one the paper allows.
"""

from __future__ import annotations

import math

import numpy as np

from tests.oracle.equations import Moments, Path, Rates, dot
from tests.oracle.problems import Problem, Trail, Vector, join

# ---- gradients seen through a keyhole -------------------------------------------------------------------------------


def estimate(f: Problem, x: Vector, t: int, asked: list[Vector], radius: float) -> Vector:
    """The two-point estimate with the normal vectors z that were drawn, read off the points that were asked."""
    g, drawn = 0 * x, set()
    for above, below in zip(asked[::2], asked[1::2], strict=True):
        z = (above - below) / (2 * radius)
        assert np.allclose(above - x, radius * z, atol=1e-12)  # both lie on one line through x
        assert 0.1 < math.sqrt(dot(z, z) / z.size) < 3
        g = g + (f.loss(x + radius * z, t) - f.loss(x - radius * z, t)) / (2 * radius) * z
        drawn.add(z.round(6).tobytes())
    assert 2 * len(drawn) == len(asked), "a new direction for each estimate"
    return g / len(drawn)


def mezo(f: Problem, x: Vector, etas: Rates, trail: Trail, radius: float = 1e-3, n: int = 1, lam: float = 0.0) -> Path:
    for t, eta in enumerate(etas, 1):
        asked = trail.asked[t - 1]
        assert len(asked) == 2 * n, "two forwards a direction"
        x = x - eta * (estimate(f, x, t, asked, radius) + lam * x)
        yield x


def extra_mezo(f: Problem, x: Vector, etas: Rates, trail: Trail, radius: float) -> Path:
    """Extragradient on estimates: both half steps draw anew."""
    for t, eta in enumerate(etas, 1):
        asked = trail.asked[t - 1]
        half = x - eta * estimate(f, x, t, asked[:2], radius)
        x = x - eta * estimate(f, half, t, asked[2:], radius)
        assert abs((asked[0] - asked[1]) @ (asked[2] - asked[3])) < 0.99 * dot(asked[0] - asked[1], asked[0] - asked[1])
        yield x


def sam_on_losses(f: Problem, x: Vector, etas: Rates, trail: Trail, radius: float, rho: float) -> Path:
    """SAM whose two gradients are both estimated, each with a direction of its own."""
    for t, eta in enumerate(etas, 1):
        asked = trail.asked[t - 1]
        g = estimate(f, x, t, asked[:2], radius)
        if g.any():
            there, first, second = x + rho * g / math.sqrt(dot(g, g)), asked[0] - asked[1], asked[2] - asked[3]
            assert abs(dot(first, second)) < 0.99 * dot(first, first)
            g = estimate(f, there, t, asked[2:], radius)
        x = x - eta * g
        yield x


def subspace(G: Vector, rank: int, drawn: Vector, kind: str) -> Vector:
    """The projector P of a matrix of gradients, checked; its long side is the matrix's shorter side."""
    left = G.shape[0] <= G.shape[1]
    short = min(G.shape)
    if kind == "columns":
        index = drawn.astype(int)
        assert drawn.shape == (rank,)
        assert sorted(set(index)) == list(index)
        assert 0 <= index[0] <= index[-1] < short
        return np.eye(short)[:, index]
    assert drawn.shape == (short, rank)
    assert np.allclose(drawn.T @ drawn, np.eye(rank), atol=1e-12)
    if kind == "random" or not G.any():  # of a zero matrix every basis is singular vectors
        return drawn
    U, _, Vh = np.linalg.svd(G, full_matrices=False)
    P = U[:, :rank] if left else Vh[:rank].T
    signs = np.sign((P * drawn).sum(0))
    assert np.allclose(P * signs, drawn, atol=1e-9), "the leading singular vectors, up to sign"
    return np.asarray(P * signs)


def low_rank(f: Problem, x: Vector, etas: Rates, trail: Trail, rank: int, every: int, kind: str, b1: float, b2: float,
             eps: float, lam: float, scale: float | None = None, rest: float | None = None) -> Path:  # fmt: skip
    """GaLore (``scale``: moments live on, nothing outside) or FRUGAL (``rest``: sign outside, fresh moments)."""
    count = len(f.start)
    d = [Moments(b1, b2, eps) for _ in range(count)]
    P: list[Vector] = [np.empty(0)] * count
    for t, eta in enumerate(etas, 1):
        step = []
        for i, G in enumerate(f.parts(f.grad(x, t))):
            if G.ndim != 2 or min(G.shape) <= rank:
                step.append(d[i](G))
                continue
            if (t - 1) % every == 0:
                P[i] = subspace(G, rank, trail.states[t - 1][i]["P"], kind)
                d[i] = Moments(b1, b2, eps) if rest is not None else d[i]
            left = G.shape[0] <= G.shape[1]
            N = d[i](P[i].T @ G if left else G @ P[i])
            up, inside = (P[i] @ N, P[i] @ P[i].T @ G) if left else (N @ P[i].T, G @ P[i] @ P[i].T)
            step.append(scale * up if scale is not None else up + (rest or 0.0) * np.sign(G - inside))
        x = x - eta * lam * x - eta * join(step)
        yield x


def error_feedback(f: Problem, x: Vector, etas: Rates, keep: float) -> Path:
    e = 0 * x
    for t, eta in enumerate(etas, 1):
        sent = []
        for p in f.parts(f.grad(x, t) + e):
            k = max(1, round(keep * p.size))
            largest = np.sort(np.abs(p).reshape(-1))[-k]
            sent.append(np.where(np.abs(p) >= largest, p, 0.0) if largest > 0 else 0 * p)
        delta = join(sent)
        e = f.grad(x, t) + e - delta
        x = x - eta * delta
        yield x


# ---- step sizes -----------------------------------------------------------------------------------------------------


def sps(f: Problem, x: Vector, etas: Rates, c: float = 0.5, f_star: float = 0.0, most: float = 10.0,
        tau: float = math.inf, mu: float = 0.0) -> Path:  # fmt: skip
    """Along d = g (paper), or along a momentum: then ⟨g, d⟩ stands for ‖g‖², and d is not taken where it ascends."""
    old, d = None, 0 * x
    for t, lr in enumerate(etas, 1):
        g = f.grad(x, t)
        d = mu * d + g
        if dot(g, d) > 0 and f.loss(x, t) > f_star:
            eta = min((f.loss(x, t) - f_star) / (c * dot(g, d)), most)
            old = eta if old is None else min(eta, tau * old)
            x = x - lr * old * d
        yield x


def sls(f: Problem, x: Vector, etas: Rates, c: float = 0.1, beta: float = 0.9, gamma: float = 2.0, batches: int = 500,
        most: float = 1.0, reset: str = "grow", mu: float = 0.0) -> Path:  # fmt: skip
    old, d = None, 0 * x
    for t, lr in enumerate(etas, 1):
        g, here = f.grad(x, t), f.loss(x, t)
        d = mu * d + g
        if dot(g, d) > 0:
            if old is None or reset == "max":
                eta = most
            else:
                eta = min(old * gamma ** (1 / batches) if reset == "grow" else old, most)
            for _ in range(100):
                if f.loss(x - lr * eta * d, t) <= here - c * lr * eta * dot(g, d):
                    x, old = x - lr * eta * d, eta
                    break
                eta *= beta
            else:
                old = None  # ours: a failed search leaves x, and starts from the top next time
        yield x


def ponos(f: Problem, x: Vector, etas: Rates, c: float = 0.5, c_p: float = 0.1, delta: float = 0.5, most: float = 10.0,
          xi: float = 1.0, f_star: float = 0.0, mu: float = 0.0, phi: float = 1.0,
          ratchet: bool = False) -> Path:  # fmt: skip
    C, Q, lbar, d = 0.0, 0.0, 0.0, 0 * x
    for t, lr in enumerate(etas, 1):
        g, here = f.grad(x, t), f.loss(x, t)
        d = mu * d + g
        C_tilde = (xi * Q * C + here) / (xi * Q + 1)
        bound = max(C_tilde, here)
        C, Q = bound if ratchet else C_tilde, xi * Q + 1  # the paper, as quoted by third parties, or the authors' code
        if dot(g, d) > 0 and here > f_star:
            eta = min((here - f_star) / (c_p * dot(g, d)) * delta**lbar, most)
            for tries in range(100):
                if delta**tries < 1e-6:
                    break  # ours: x - ηd is about to round to x
                if f.loss(x - lr * eta * delta**tries * d, t) <= bound - c * lr * eta * delta**tries * dot(g, d):
                    x = x - lr * eta * delta**tries * d
                    lbar = max(lbar + tries - phi, 0.0)
                    break
        yield x


def dog(f: Problem, x: Vector, etas: Rates, reps: float = 1e-6, eps: float = 1e-8, lam: float = 0.0) -> Path:
    x0, rbar, G = x, reps * (1 + math.sqrt(dot(x, x))), eps
    for t, lr in enumerate(etas, 1):
        g = f.grad(x, t) + lam * x
        rbar = max(rbar, math.sqrt(dot(x - x0, x - x0)))
        G = G + dot(g, g)
        x = x - lr * rbar / math.sqrt(G) * g if G > 0 else x
        yield x


def d_adapt_sgd(f: Problem, x: Vector, etas: Rates, d0: float = 1e-6, lam: float = 0.0, beta: float = 0.0,
                most: float = math.inf) -> Path:  # fmt: skip
    x0, s, r, d, G = x, 0 * x, 0.0, d0, 0.0
    for k, lr in enumerate(etas):
        g = f.grad(x, k + 1) + lam * x
        G = G or math.sqrt(dot(g, g))
        if G > 0:
            weight = d * lr / G
            r = r + weight * dot(g, s)
            s = s + weight * g
            if s.any():
                d = max(d, min(2 * r / math.sqrt(dot(s, s)), most * d))
            x = beta * x + (1 - beta) * (x0 - s)
        yield x


def d_adapt_adam(f: Problem, x: Vector, etas: Rates, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8,
                 d0: float = 1e-6, lam: float = 0.0, most: float = math.inf) -> Path:  # fmt: skip
    m, v, s, r, d, q = 0 * x, 0 * x, 0 * x, 0.0, d0, math.sqrt(b2)
    for k, lr in enumerate(etas):
        g = f.grad(x, k + 1)
        used = d * lr
        m, v = b1 * m + (1 - b1) * used * g, b2 * v + (1 - b2) * g**2
        A = np.sqrt(v) + eps  # the new one, as in the paper's box
        r = q * r + (1 - q) * used * dot(g, s / A)
        s = q * s + (1 - q) * used * g
        if s.any():
            d = max(d, min(r / ((1 - q) * np.abs(s).sum()), most * d))
        x = x - used * lam * x - m / A
        yield x


def schedule_free(f: Problem, x: Vector, etas: Rates, beta: float = 0.9, b2: float | None = None, eps: float = 0.0,
                  lam: float = 0.0, power: int = 2, age: int = 0) -> Path:  # fmt: skip
    """arXiv:2405.15682, equations 3 to 5; with ``b2`` Algorithm 1, ε beside the corrected root.  Yields the average."""
    y = z = x
    v, total = 0 * x, 0.0
    for t, eta in enumerate(etas, 1):
        g = f.grad(y, t)
        if b2 is not None:
            v, gamma = b2 * v + (1 - b2) * g**2, eta * math.sqrt(1 - b2**t)
            d = g / (np.sqrt(v) + eps * math.sqrt(1 - b2**t))
        else:
            gamma, d = eta, g
        z = z - gamma * d - gamma * lam * y
        weight = math.comb(t + age - 1, age) * gamma**power
        total += weight
        c = weight / total
        x = (1 - c) * x + c * z
        y = (1 - beta) * z + beta * x
        yield x
