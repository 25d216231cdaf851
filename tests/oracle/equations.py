"""What papers' equations share, in numpy: the form of one, and the pieces that many of them are made of.

The equations of a method are a generator that yields x after each step; ``f`` is the loss, ``etas`` are the learning
rates of the steps. The letters are the papers'. Nothing here knows the library.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tests.oracle.problems import Problem, Vector, join

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
