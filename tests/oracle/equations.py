"""What papers' equations share, in numpy: the form of one, and the pieces that many of them are made of.

The equations of a method are a generator that yields x after each step; ``f`` is the loss, ``etas`` are the learning
rates of the steps. The letters are the papers'. Nothing here knows the library.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tests.oracle.problems import Problem, Trail, Vector, join

Path = Iterator[Vector]
Rates = Sequence[float]


def dot(a: Vector, b: Vector) -> float:
    return float(a @ b)


class Moments:
    """Adam (arXiv:1412.6980, Algorithm 1): the step that the learning rate multiplies."""

    def __init__(self, b1: float, b2: float, eps: float, corrects: bool = True) -> None:
        self.b1, self.b2, self.eps, self.corrects = b1, b2, eps, corrects
        self.t, self.m, self.v = 0, np.zeros(()), np.zeros(())

    def __call__(self, g: Vector) -> Vector:
        self.t += 1
        self.m = self.b1 * self.m + (1 - self.b1) * g
        self.v = self.b2 * self.v + (1 - self.b2) * g**2
        if not self.corrects:
            return np.asarray(self.m / (np.sqrt(self.v) + self.eps))
        mh, vh = self.m / (1 - self.b1**self.t), self.v / (1 - self.b2**self.t)
        return np.asarray(mh / (np.sqrt(vh) + self.eps))


def caution(f: Problem, u: Vector, g: Vector, scale: str, cap: float = 10.0) -> Vector:
    """The mask of C-AdamW and C-Lion, rescaled tensor by tensor; ours leaves alone where the gradient is zero."""
    done = []
    for part, slope in zip(f.parts(u), f.parts(g), strict=True):
        n, phi = np.count_nonzero(slope), (part * slope > 0).astype(np.float64)
        s = min(n / (phi.sum() + 1) if scale == "count" else n / max(phi.sum(), 1.0), cap)
        done.append(np.where(slope == 0, part, s * part * phi))
    return join(done)


def adam(f: Problem, x: Vector, etas: Rates, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, lam: float = 0.0,
         decoupled: float = 0.0) -> Path:  # fmt: skip
    d = Moments(b1, b2, eps)
    for t, eta in enumerate(etas, 1):
        x = x - eta * (d(f.grad(x, t) + lam * x) + decoupled * x)
        yield x


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
