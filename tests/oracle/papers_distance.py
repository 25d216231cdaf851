"""The papers' equations, continued: step sizes from distances and from sums of gradients, and averages of points."""

from __future__ import annotations

import math

import numpy as np

from tests.oracle.equations import Path, Rates, caution, dot
from tests.oracle.problems import Problem, Vector, join


def layerwise_dog(f: Problem, x: Vector, etas: Rates, reps: float = 1e-6, eps: float = 1e-8, lam: float = 0.0) -> Path:
    """DoG for each tensor alone."""
    start = [p.copy() for p in f.parts(x)]
    far = [reps * (1 + float(np.linalg.norm(p))) for p in start]
    G = [eps] * len(start)
    for t, lr in enumerate(etas, 1):
        new = []
        for i, (p, g) in enumerate(zip(f.parts(x), f.parts(f.grad(x, t) + lam * x), strict=True)):
            far[i] = max(far[i], float(np.linalg.norm(p - start[i])))
            G[i] += float((g * g).sum())
            new.append(p - lr * far[i] / math.sqrt(G[i]) * g)
        x = join(new)
        yield x


def tamed_dog(
    f: Problem, x: Vector, etas: Rates, reps: float, T: int, delta: float, L: float = 0.0, lam: float = 0.0
) -> Path:
    """Equation (T-DoG) with t from 0; without L, the largest norm that was seen, and no move before the first."""
    x0, far, norms, ells = x, reps * (1 + math.sqrt(dot(x, x))), [0.0], [0.0]
    for t, lr in enumerate(etas):
        g = f.grad(x, t + 1) + lam * x
        far = max(far, math.sqrt(dot(x - x0, x - x0)))
        ells.append(max(ells[-1], L, math.sqrt(dot(g, g))))
        top = ells[-1]
        if top > 0:
            start = next(ell for ell in ells if ell > 0)
            log = 1 + math.log(1 + t * top**2 / start**2)
            Gp = 8**4 * math.log(60 * math.log(6 * T) / delta) ** 2 * log**2 * (sum(n**2 for n in norms) + 16 * top**2)
            x = x - lr * far / math.sqrt(Gp) * g
        norms.append(math.sqrt(dot(g, g)))
        yield x


def adagrad_norm(f: Problem, x: Vector, etas: Rates, b0: float = 1e-8, lam: float = 0.0, alone: bool = False) -> Path:
    """One b for all, or one for each tensor."""
    squares = [b0**2] * len(f.start)
    for t, eta in enumerate(etas, 1):
        parts = f.parts(f.grad(x, t) + lam * x)
        added = [float((g * g).sum()) for g in parts]
        squares = [b + (a if alone else sum(added)) for b, a in zip(squares, added, strict=True)]
        x = x - join([eta / math.sqrt(b) * g if b > 0 else 0 * g for b, g in zip(squares, parts, strict=True)])
        yield x


def averaged_dog(f: Problem, x: Vector, etas: Rates, reps: float, gamma: float) -> Path:
    """DoG, seen at the polynomial-decay average of its points after the start."""
    x0, rbar, G, mean = x, reps * (1 + math.sqrt(dot(x, x))), 1e-8, 0 * x
    for t, lr in enumerate(etas, 1):
        g = f.grad(x, t)
        rbar = max(rbar, math.sqrt(dot(x - x0, x - x0)))
        G += dot(g, g)
        x = x - lr * rbar / math.sqrt(G) * g
        w = (1 + gamma) / (t + gamma)
        mean = (1 - w) * mean + w * x
        yield mean


def averaged_tamed_dog(f: Problem, x: Vector, etas: Rates, reps: float, gamma: float) -> Path:
    """T-DoG for T = 10,000 and δ = 0.01, seen at the polynomial-decay average of its points after the start."""
    mean = 0 * x
    for t, point in enumerate(tamed_dog(f, x, etas, reps, 10_000, 0.01), 1):
        w = (1 + gamma) / (t + gamma)
        mean = (1 - w) * mean + w * point
        yield mean


def averaged_sam(f: Problem, x: Vector, etas: Rates, rho: float) -> Path:
    """SAM, seen at the plain mean."""
    total = 0 * x
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t)
        norm = math.sqrt(dot(g, g))
        x = x - eta * f.grad(x + rho * g / norm if norm > 0 else x, t)
        total = total + x
        yield total / t


def averaged_optimism(f: Problem, x: Vector, etas: Rates) -> Path:
    """The optimistic gradient, seen at the average with γ = 3."""
    mean, old = 0 * x, 0 * x
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t)
        x, old = x - eta * (2 * g - old), g
        mean = mean + 4 / (t + 3) * (x - mean)
        yield mean


def grouped_d_adapt_sgd(f: Problem, x: Vector, etas: Rates, d0: float) -> Path:
    """D-Adaptation for gradient descent with an estimate for each tensor."""
    start, s = [p.copy() for p in f.parts(x)], [0 * p for p in f.parts(x)]
    d, r, G = [d0] * len(s), [0.0] * len(s), [0.0] * len(s)
    for t, lr in enumerate(etas, 1):
        for i, g in enumerate(f.parts(f.grad(x, t))):
            G[i] = G[i] or float(np.linalg.norm(g))
            if G[i] > 0:
                w = d[i] * lr / G[i]
                r[i] += w * float((g * s[i]).sum())
                s[i] = s[i] + w * g
                if s[i].any():
                    d[i] = max(d[i], 2 * r[i] / float(np.linalg.norm(s[i])))
        x = join([a - b for a, b in zip(start, s, strict=True)])
        yield x


def u_dog(f: Problem, x0: Vector, etas: Rates, reps: float = 1e-6) -> Path:
    """Algorithm 1 with the step sizes of Appendix G.1; the same mini-batch for m and g."""
    y, far, Q, M = x0, reps * (1 + math.sqrt(dot(x0, x0))), 0.0, 0.0
    rs: list[float] = []
    omegas: list[float] = []
    xs: list[Vector] = []
    for t, lr in enumerate(etas, 1):
        rs.append(far)
        alpha = sum(rs) / far
        omegas.append(alpha * far)
        m = f.grad(np.average([*xs, y], axis=0, weights=omegas), t)
        M = max(M, alpha**2 * dot(m, m))
        G = max(Q, M)
        xs.append(y - lr * alpha * far / math.sqrt(G) * m if G > 0 else y)
        xhat = np.average(xs, axis=0, weights=omegas)
        g = f.grad(xhat, t)
        Q += alpha**2 * dot(g - m, g - m)
        G = max(Q, M)
        y = y - lr * alpha * far / math.sqrt(G) * g if G > 0 else y
        far = max(far, math.sqrt(dot(xs[-1] - x0, xs[-1] - x0)), math.sqrt(dot(y - x0, y - x0)))
        yield xhat


def a_dog(f: Problem, x0: Vector, etas: Rates, reps: float = 1e-6) -> Path:
    """Algorithm 2: yields the point of the next gradient."""
    y = z = x0
    far, rs, alphas, G = reps * (1 + math.sqrt(dot(x0, x0))), [], [], 0.0
    rs.append(far)
    alphas.append(1.0)
    for t, lr in enumerate(etas, 1):
        tau = alphas[-1] / sum(alphas)
        x = tau * z + (1 - tau) * y
        g = f.grad(x, t)
        G += alphas[-1] ** 2 * dot(g, g)
        eta = lr * far / math.sqrt(G) if G > 0 else 0.0
        y, z = x - eta * g, z - alphas[-1] * eta * g
        far = max(far, math.sqrt(dot(z - x0, z - x0)))
        rs.append(far)
        alphas.append(sum(rs) / far)
        tau = alphas[-1] / sum(alphas)
        yield tau * z + (1 - tau) * y


def relative(f: Problem, x: Vector, etas: Rates, lam: float) -> Path:
    """Step and decay by the root of each tensor's root mean square."""
    for t, eta in enumerate(etas, 1):
        s = join([np.full(q.shape, max(math.sqrt(float((q * q).mean())), 0.01) ** 0.5) for q in f.parts(x)])
        x = x - s * eta * (f.grad(x, t) + lam * x)
        yield x


def auto(f: Problem, x: Vector, etas: Rates, usual: float = 0.06, lam: float = 0.2, averages: bool = False) -> Path:
    """Gradients at y, between the walking point z and the average; the step from what gradients say."""
    z = y = mean = x
    m = v = 0 * x
    eta, phi, up, last = usual / 100, 1.0, False, 0
    c_mean, c_most, cs, slips, turns = 0.0, 0.0, 0, 0, 0
    kappa = 1.0
    for t, lr in enumerate(etas, 1):
        g, asked = f.grad(y, t), kappa
        kappa = min(2.0, max(0.375, kappa * math.exp(0.05 * np.sign(dot(g, y)))))
        slope = dot(g, m / (np.sqrt(v) + 1e-8))
        if slope != 0:
            c = dot(g, m) / math.sqrt(dot(g, g) * dot(m * (g != 0), m))
            cs += 1
            c_mean = c_mean + (c - c_mean) / cs if cs <= 5 else 0.8 * c_mean + 0.2 * c
            c_most = max(c_most, c_mean) if cs >= 5 else 0.0
            old, phi = phi, min(1, max(0.1, 2 * (c_most if cs >= 5 else c_mean)))
            P = usual * phi
            if up:
                eta *= phi / old
                turns += slope * last < 0
                last = np.sign(slope)
                p = 1 / (1 + 7 / 3 * math.exp(phi - 1) * (P / eta) ** 0.7)
                eta = min(eta * 2 ** (((slope > 0) - min(0.9, max(0.05, p))) / (1 + turns)), 10 * P)
            else:
                eta = min(eta, P) * 10 ** ((1 if slope > 0 else -0.5) / (1 + slips))
                slips += slope < 0
                if eta >= 0.999 * P:
                    eta, up = P, True
        m, v = 0.5 * m + 0.5 * g, 0.95 * v + 0.05 * g**2
        d = caution(f, m / (1 - 0.5**t) / (np.sqrt(v / (1 - 0.95**t)) + 1e-8), g, "mean")
        s = join([np.full(q.shape, max(math.sqrt(float((q * q).mean())), 0.01) ** 0.5) for q in f.parts(y)])
        z = z - lr * eta * s * (d + asked * lam * y)
        mean = mean + 3 / (t + 2) * (z - mean)
        y = 0.4 * z + 0.6 * mean
        yield mean if averages else y


def skipping(f: Problem, x: Vector, etas: Rates, factor: float, window: int) -> Path:
    """Gradient descent that leaves out steps with a gradient longer than a multiple of the lower median of the last."""
    norms: list[float] = []
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t)
        norm = math.sqrt(dot(g, g))
        if norm > 0:
            first_was_it = len(norms) == 1 and norms[0] > factor * norm
            norms = [*norms, norm][-window:]
            if norm <= factor * sorted(norms)[(len(norms) - 1) // 2] and not first_was_it:
                x = x - eta * g
        yield x


def raised(d: float, inner: bool, walked: list[tuple[float, Vector, Vector, Vector]], x0: Vector, s: Vector, up: Vector,
           norm: float) -> float:  # fmt: skip
    """D-Adaptation's next estimate; ``walked`` has λ, g, x and the old scaling of each step, ``up`` is the new scaling."""
    if norm == 0:
        return d
    if inner:
        return max(d, 2 * sum(w * dot(g, x0 - x) for w, g, x, _ in walked) / norm)
    return max(d, (dot(s, up * s) - sum(w**2 * dot(g, a * g) for w, g, _, a in walked)) / (2 * norm))


def d_adapt_dual(
    f: Problem, x: Vector, etas: Rates, d0: float, G: float = 0.0, inner: bool = True, lam: float = 0.0
) -> Path:
    x0, s, d, squares, walked = x, 0 * x, d0, G**2, []
    for k, lr in enumerate(etas):
        g = f.grad(x, k + 1) + lam * x
        old = squares or dot(g, g)
        squares += dot(g, g)
        s = s + d * lr * g
        one = np.ones_like(x)
        walked.append((d * lr, g, x, one / math.sqrt(old) if old else 0 * one))
        gamma = 1 / math.sqrt(squares) if squares else 0.0
        d = raised(d, inner, walked, x0, s, gamma * one, math.sqrt(dot(s, s)))
        x = x0 - gamma * s
        yield x


def inverse(a: Vector) -> Vector:
    """1/a, and 0 where a is."""
    return np.where(a > 0, 1 / np.where(a > 0, a, 1.0), 0.0)


def d_adapt_adagrad(f: Problem, x: Vector, etas: Rates, d0: float, v0: float = 0.0, inner: bool = True, lam: float = 0.0,
                    alone: bool = False) -> Path:  # fmt: skip
    """If alone, each tensor has its own estimate."""
    x0, s, v, walked = x, 0 * x, 0 * x + v0, []
    places = np.arange(x.size, dtype=float)
    owners = [p.reshape(-1).astype(int) for p in (f.parts(places) if alone else [places])]
    d = np.full(x.size, d0)
    for k, lr in enumerate(etas):
        g = f.grad(x, k + 1) + lam * x
        old = np.where(v > 0, np.sqrt(v), np.abs(g))
        v = v + g * g
        s = s + d * lr * g
        walked.append((d * lr, g, x, inverse(old)))
        up = inverse(np.sqrt(v))
        d = d.copy()
        for own in owners:
            mine = [(float(w[own][0]), gi[own], xi[own], ai[own]) for w, gi, xi, ai in walked]
            d[own] = raised(float(d[own][0]), inner, mine, x0[own], s[own], up[own], float(np.abs(s[own]).sum()))
        x = x0 - up * s
        yield x
