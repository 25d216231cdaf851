"""Shampoo (Gupta et al. 2018; Anil et al. 2020; Shi et al. 2023): inverse roots of the second moments of rows and columns."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import steepest
from steepest import direction as D
from tests.laws.common import directions, matrices
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import SHAPES, Linear, Problem, Vector, join
from tests.rows import SQUARE, Hand, Row, Setting

CONTRACT = {
    "Shampoo": Setting(
        {"lr": 0.05, "weight_decay": 0.1, "every": 2, "block": 3, "ridge": 1e-3},
        root=True,
        shaped="each side of a matrix has a factor",
    )
}

# ---- the equations ---------------------------------------------------------------------------------------------------


def root(A: Vector, p: int, ridge: float) -> Vector:
    """(A + δI)^(-1/p), δ the ridge times a bound of the largest eigenvalue; the identity of nothing."""
    if not A.any():
        return np.eye(len(A))
    delta = ridge * min(np.linalg.norm(A), np.abs(A).sum(1).max())
    w, Q = np.linalg.eigh(A + delta * np.eye(len(A)))
    return np.asarray((Q * w ** (-1 / p)) @ Q.T)


def cuts(n: int, block: int) -> list[slice]:
    """Blocks of equal length, of which the last may be shorter."""
    k = math.ceil(n / block)
    s = math.ceil(n / k)
    return [slice(i * s, min(n, (i + 1) * s)) for i in range(k)]


class Blocks:
    """One tensor: its average gradient, its squares, and the factors of each block, by Kronecker products of them."""

    def __init__(self, X: Vector) -> None:
        self.m = self.v = np.zeros(X.shape)
        self.rows = X.shape[0] if X.ndim else 1
        self.vector = X.ndim < 2
        self.L: dict[Any, Vector] = {}
        self.R: dict[Any, Vector] = {}
        self.roots: dict[Any, tuple[Vector, Vector]] = {}

    def step(self, t: int, g: Vector, b1: float, b2: float, ridge: float, eps: float, every: int, block: int, skip: bool,
             graft: str, p: int) -> Vector:  # fmt: skip
        new = 1.0 if b2 == 1 else 1 - b2
        c = 1.0 if b2 == 1 else 1 - b2**t
        self.m, self.v = b1 * self.m + (1 - b1) * g, b2 * self.v + new * g * g
        m = self.m / (1 - b1**t)
        a = m / (np.sqrt(self.v / c) + eps) if graft == "adam" else m
        G, M = g.reshape(self.rows, -1), m.reshape(self.rows, -1)
        left = not (skip and G.shape[0] > block)
        right = not self.vector and not (skip and G.shape[1] > block)
        P: Vector = np.zeros(G.shape)
        for i in cuts(G.shape[0], G.shape[0] if skip else block):
            for j in cuts(G.shape[1], G.shape[1] if skip else block):
                k, B = (i.start, j.start), G[i, j]
                self.L[k] = b2 * self.L.get(k, 0 * B @ B.T) + new * B @ B.T
                self.R[k] = b2 * self.R.get(k, 0 * B.T @ B) + new * B.T @ B
                if t % every == 0:
                    q = p or 2 * (left + right)
                    self.roots[k] = (root(left * self.L[k] / c, q, ridge), root(right * self.R[k] / c, q, ridge))
                if k in self.roots:
                    kron = np.kron(*self.roots[k])
                    P[i, j] = (kron @ M[i, j].reshape(-1)).reshape(B.shape)
        if not (left or right) or t < every:
            return a
        P = P.reshape(g.shape)
        return P if graft == "none" or not P.any() else P * (np.linalg.norm(a) / np.linalg.norm(P))


def shampoo(f: Problem, x: Vector, etas: Rates, b1: float = 0.9, b2: float = 0.999, ridge: float = 1e-6, eps: float = 1e-8,
            lam: float = 0.0, every: int = 10, block: int = 1024, skip: bool = False, graft: str = "adam",
            p: int = 0) -> Path:  # fmt: skip
    """vec(P) = (L ⊗ R)^(-1/p) vec(M), block by block, with the length of the grafted step."""
    tensors = [Blocks(X) for X in f.parts(x)]
    for t, eta in enumerate(etas, 1):
        steps = [s.step(t, g, b1, b2, ridge, eps, every, block, skip, graft, p)
                 for s, g in zip(tensors, f.parts(f.grad(x, t)), strict=True)]  # fmt: skip
        x = (1 - eta * lam) * x - eta * join(steps)
        yield x


def original(params: Any, **options: Any) -> steepest.Optimizer:
    """Gupta et al.: sums, roots at every step, no momentum and no grafting."""
    inner = D.Shampoo(beta1=0.0, beta2=1.0, every=1, graft="none", ridge=0.05, roots="eigh")
    return steepest.Optimizer(params, direction=inner, **options)


def overridden(params: Any, **options: Any) -> steepest.Optimizer:
    """Another exponent, and an odd one, with the length of the average gradient."""
    inner = D.Shampoo(beta2=0.9, every=2, graft="sgd", ridge=0.01, root=3)
    return steepest.Optimizer(params, direction=inner, **options)


COMMON = {"betas": (0.8, 0.9), "ridge": 0.01, "every": 3, "weight_decay": 0.1}
LETTERS = {"b1": 0.8, "b2": 0.9, "ridge": 0.01, "every": 3, "lam": 0.1}
FIRST = {"b1": 0.0, "b2": 1.0, "every": 1, "graft": "none", "ridge": 0.05}
ORACLE = [
    Row("Shampoo", shampoo, COMMON, LETTERS),
    Row("Shampoo", shampoo, COMMON | {"block": 2}, LETTERS | {"block": 2}),
    Row("Shampoo", shampoo, COMMON | {"block": 3, "large": "skip"}, LETTERS | {"block": 3, "skip": True}),
    Row("Shampoo", shampoo, COMMON | {"betas": (0.0, 1.0), "graft": "sgd"},
        LETTERS | {"b1": 0.0, "b2": 1.0, "graft": "sgd"}),
    Row(original, shampoo, {}, FIRST),
    Row(overridden, shampoo, {}, {"b2": 0.9, "every": 2, "graft": "sgd", "ridge": 0.01, "p": 3}),
]  # fmt: skip
EDGES = [
    Row("Shampoo", shampoo, COMMON, LETTERS, lr=0.02, on=SHAPES),
    Row("Shampoo", shampoo, COMMON | {"block": 2, "every": 1}, LETTERS | {"block": 2, "every": 1}, lr=0.02, on=SHAPES),
    Row("Shampoo", shampoo, COMMON | {"block": 1, "large": "skip"}, LETTERS | {"block": 1, "skip": True}, on=SQUARE),
]
# G = diag(4, 1): L = R = diag(16, 1) without a ridge worth the name, and L^(-1/4) G R^(-1/4) = diag(4/4, 1/1) = I; then
# G = diag(0, 7): L = diag(16, 50), 7/√50
HANDS = [
    Hand("Shampoo", lambda params, **more: steepest.Optimizer(params, direction=D.Shampoo(
            beta1=0.0, beta2=1.0, every=1, graft="none", ridge=1e-16), **more), {}, shampoo, FIRST | {"ridge": 1e-16},
         Linear(np.zeros((2, 2)), [[4, 0], [0, 1]], [[0, 0], [0, 7]]), [1.0, 1.0],
         [(-1.0, 0.0, 0.0, -1.0), (-1.0, 0.0, 0.0, -1.0 - 7 / math.sqrt(50))]),
]  # fmt: skip


# ---- laws ------------------------------------------------------------------------------------------------------------


def plain(**more: Any) -> D.Shampoo:
    options: dict[str, Any] = {"every": 1, "graft": "sgd", "ridge": 1e-3, **more}
    return D.Shampoo(**options)


def stream(*shape: int) -> list[Tensor]:
    return [matrices(1, math.prod(shape), seed).view(shape) for seed in range(4)]


def test_a_rotated_gradient_is_a_rotated_step() -> None:
    """d(QGP) = Q d(G) P: with a ridge that the eigenvalues alone decide, so of diagonal factors there is no trace."""
    q, p = (torch.linalg.qr(matrices(n, n, 9)).Q for n in (3, 3))
    gs = stream(3, 3)
    for d, e in zip(
        directions(plain(ridge=1e-9), gs), directions(plain(ridge=1e-9), [q @ g @ p for g in gs]), strict=True
    ):
        assert torch.allclose(e, q @ d @ p, atol=1e-4)


@pytest.mark.parametrize("shape", [(7, 5), (4, 3, 2), (6,), ()])
def test_blocks_are_tensors_of_their_own(shape: tuple[int, ...]) -> None:
    """Without grafting a block moves as if the rest were not there."""
    gs, cut = stream(*shape), 3
    d = directions(plain(block=cut, graft="none"), gs)
    if not shape:
        return
    rows = -(-shape[0] // -(-shape[0] // cut))
    alone = directions(plain(block=cut, graft="none"), [g[:rows] for g in gs])
    assert all(torch.allclose(a, b[:rows], rtol=1e-9) for a, b in zip(alone, d, strict=True))


def test_memory_of_a_long_side() -> None:
    """An embedding of 50,000 rows has blocks, or one factor of its short side."""
    for large, want in (("blocks", (49, 1021, 1021)), ("skip", None)):
        state = D.Shampoo(large=large).state  # type: ignore[arg-type]
        assert state["L"].of((50_000, 64)) == want
        assert state["R"].of((50_000, 64)) == ((49, 64, 64) if large == "blocks" else (1, 64, 64))
    assert D.Shampoo(large="skip").state["R_root"].of((2000, 3000)) is None


def test_a_bad_factor_keeps_the_last_good_root_and_is_counted() -> None:
    x = nn.Parameter(torch.ones(3, 2))
    y = nn.Parameter(torch.ones(3, 2))
    opt = steepest.Shampoo([x, y], lr=0.1, every=1)
    opt.step(lambda: (x.pow(4) + y.pow(4)).sum())
    assert opt.metrics()["failed_roots"] == 0
    good = opt.state[x]["L_root"].clone()
    opt.state[x]["L"].fill_(-1.0)
    opt.step(lambda: (x.pow(4) + y.pow(4)).sum())
    assert torch.equal(opt.state[x]["L_root"], good)
    assert not torch.equal(opt.state[y]["L_root"], good)
    assert opt.metrics()["failed_roots"] == 1
    assert [float(opt.state[p]["failed_roots"]) for p in (x, y)] == [1, 0]
    opt.nonfinite = "propagate"
    opt.clear_cache()
    opt.state[x]["L"].fill_(torch.nan)
    opt.step(lambda: (x.pow(4) + y.pow(4)).sum())
    assert torch.equal(opt.state[x]["L_root"], good)
    assert bool(torch.isfinite(x).all())
    assert opt.metrics()["failed_roots"] == 2


@pytest.mark.parametrize("codec", ["float32", "bfloat16", "int8"])
def test_composition(codec: Any) -> None:
    """Under SAM, caution, an L2 penalty and codecs it descends."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))
    a = torch.randn(32, 6, generator=torch.Generator().manual_seed(0))
    inner = D.Cautious(D.Coupled(D.Shampoo(every=2), weight_decay=1e-3))
    opt = steepest.Optimizer(
        model.parameters(), lr=0.03, direction=inner, point=steepest.point.SAM(rho=0.01), codec=codec
    )
    losses = [float(opt.step(lambda: (model(a) - a[:, :1] * a[:, 1:2]).square().mean())) for _ in range(40)]
    assert losses[-1] < 0.7 * losses[0]
