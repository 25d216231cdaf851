"""PSGD (Li 2015, arXiv:1512.04202; 2024, arXiv:2402.11858): gradients whitened by triangular Kronecker factors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import steepest
from steepest import direction as D
from steepest.direction.psgd import fitted
from tests.laws.common import directions, matrices
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import SHAPES, Linear, Problem, Vector, join
from tests.rows import SQUARE, Hand, Row, Setting

CONTRACT = {
    "PSGD": Setting(
        {"lr": 0.05, "weight_decay": 0.1, "damping": 1e-3, "clip": 0.5},
        root=True,
        shaped="each side of a matrix has a factor",
    )
}

# ---- the equations ---------------------------------------------------------------------------------------------------


def size(S: Vector) -> float:
    """What the step on the group is divided by: the largest entry of a diagonal, a bound of the norm of a matrix."""
    return float(min(np.linalg.norm(S), np.abs(S).sum(1).max()))


class Whitener:
    """Dense Q_l and Q_r; the expected value over v is a sum over the columns of (Q_l ⊗ Q_r)⁻ᵀ and of Q_l ⊗ Q_r."""

    def __init__(self, X: Vector, g: Vector, lam: float, most: int, skew: int) -> None:
        self.shape = (X.shape[0] if X.ndim else 1, X.size // (X.shape[0] if X.ndim else 1))
        self.full = [1 < n <= most and n * n <= skew * X.size for n in self.shape]
        scale = (np.mean(g**4) + lam**4) ** (-1 / 8)
        self.one = X.ndim < 2
        self.Q = [scale * np.eye(self.shape[0]), np.eye(self.shape[1])]

    def gradient(self, G: Vector, lam: float) -> list[tuple[Vector, Vector]]:
        """S₊ and S₋ of both sides: E AAᵀ and E BBᵀ with A = Q_l (G + λV) Q_rᵀ and B = Q_l⁻ᵀ V Q_r⁻¹."""
        K = np.kron(*self.Q)
        A = (K @ G.reshape(-1)).reshape(self.shape)
        noisy = [c.reshape(self.shape) for c in K.T]
        solved = [c.reshape(self.shape) for c in np.linalg.inv(K)]
        plus = A @ A.T + lam**2 * sum(c @ c.T for c in noisy), A.T @ A + lam**2 * sum(c.T @ c for c in noisy)
        return list(zip(plus, (sum(c @ c.T for c in solved), sum(c.T @ c for c in solved)), strict=True))

    def fit(self, G: Vector, mu: float, lam: float) -> None:
        steps = self.gradient(G, lam)
        for i, (plus, minus) in enumerate(steps[: 1 if self.one else 2]):
            if self.full[i]:
                self.Q[i] = self.Q[i] - mu * np.triu(plus - minus) @ self.Q[i] / size(plus + minus)
            else:
                both = np.diag(plus + minus).max()
                self.Q[i] = self.Q[i] - mu * np.diag(np.diag(plus - minus)) @ self.Q[i] / both

    def step(self, m: Vector) -> Vector:
        K = np.kron(*self.Q)
        return np.asarray((K.T @ K @ m.reshape(-1)).reshape(m.shape))


def psgd(f: Problem, x: Vector, etas: Rates, beta: float = 0.9, mu: float = 0.1, lam: float = 1e-9, clip: float = 2.0,
         every: int = 1, most: int = 8192, skew: int = 1, decay: float = 0.0) -> Path:  # fmt: skip
    """Q ← Q - μ triu(E AAᵀ - E BBᵀ) Q / ‖·‖ for both factors of Q_l ⊗ Q_r, then d = QᵀQ m."""
    fits: list[Whitener] = []
    m = [np.zeros(X.shape) for X in f.parts(x)]
    for t, eta in enumerate(etas, 1):
        gs = f.parts(f.grad(x, t))
        if t == 1:
            fits = [Whitener(X, g, lam, most, skew) for X, g in zip(f.parts(x), gs, strict=True)]
        steps = []
        for k, (w, g) in enumerate(zip(fits, gs, strict=True)):
            past = min((t - 1) / t, beta)
            m[k] = past * m[k] + (1 - past) * g
            if (t - 1) % every == 0:
                w.fit(g.reshape(w.shape), mu, lam)
            d = w.step(m[k])
            steps.append(d * min(1.0, clip / max(float(np.sqrt(np.mean(d**2))), 1e-300)))
        x = (1 - eta * decay) * x - eta * join(steps)
        yield x


COMMON = {"momentum": 0.7, "rate": 0.3, "damping": 0.01, "weight_decay": 0.1}
LETTERS = {"beta": 0.7, "mu": 0.3, "lam": 0.01, "decay": 0.1}
ORACLE = [
    Row("PSGD", psgd, COMMON, LETTERS),
    Row("PSGD", psgd, COMMON | {"every": 3, "clip": 0.3}, LETTERS | {"every": 3, "clip": 0.3}),
    Row("PSGD", psgd, COMMON | {"max_skew": 100}, LETTERS | {"skew": 100}),
    Row("PSGD", psgd, COMMON | {"max_dim": 4, "max_skew": 2}, LETTERS | {"most": 4, "skew": 2}),
]
EDGES = [Row("PSGD", psgd, COMMON, LETTERS, on=SQUARE), Row("PSGD", psgd, COMMON, LETTERS, lr=0.02, on=SHAPES)]
# one number, g = 4, λ ≈ 0: Q² = 1/4, a² = Q²g² = 4, b² = 1/Q² = 4: nothing to fit, d = g/4 = 1; then g = 8: a² = 16, b² = 4,
# Q ← Q (1 - ½ 12/20) = 0.7 Q, Q² = 0.49/4, d = 8 · 0.1225 = 0.98
HANDS = [
    Hand("PSGD", steepest.PSGD, {"momentum": 0.0, "rate": 0.5, "damping": 1e-12}, psgd,
         {"beta": 0.0, "mu": 0.5, "lam": 1e-12}, Linear([0.0], [4.0], [8.0]), [1.0, 1.0], [(-1.0,), (-1.98,)]),
]  # fmt: skip


# ---- laws ------------------------------------------------------------------------------------------------------------


def test_the_step_is_the_criterions_gradient_on_the_group() -> None:
    """Along Q ← (I + E) Q the slope of E[gᵀPg + λ²tr P + tr P⁻¹] is 2⟨E, S₊ - S₋⟩, by automatic differentiation."""
    g, Q, lam = matrices(3, 1, 0), torch.triu(matrices(3, 3, 1)) + 3 * torch.eye(3).double(), 0.3
    E = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
    moving = (torch.eye(3) + E) @ Q
    P = moving.mT @ moving
    slope = torch.triu(
        torch.autograd.grad((g.mT @ P @ g).sum() + lam**2 * P.trace() + torch.linalg.inv(P).trace(), E)[0]
    )
    found, none = fitted(g[None], Q[None], None, 1e-3, lam)
    assert none is None
    step, want = found[0] - Q, -slope @ Q
    assert torch.allclose(step / step.norm(), want / want.norm(), atol=1e-11)
    assert 0 < step.norm() < 1e-3 * Q.norm()


def test_it_whitens() -> None:
    """Gradients G = A Z B with normal Z: P → (E gg')^(-1/2) up to the noise of the fit, from a condition number of 10⁴."""
    a, b = torch.diag(torch.tensor([10.0, 1.0, 0.1])).double(), torch.diag(torch.tensor([3.0, 1.0, 0.3])).double()
    q, p = (torch.linalg.qr(matrices(3, 3, n)).Q for n in (1, 2))
    a, b = q @ a, b @ p
    gs = [a @ matrices(3, 3, 10 + k) @ b for k in range(1500)]
    ds = directions(D.PSGD(momentum=0.0, clip=100.0), gs)[-800:]
    flat = torch.stack(ds).flatten(1)
    before = torch.linalg.eigvalsh(torch.cov(torch.stack(gs).flatten(1).T))
    after = torch.linalg.eigvalsh(torch.cov(flat.T))
    assert before[-1] / before[0] > 1e4
    assert after[-1] / after[0] < 8
    assert 0.5 < flat.square().mean() < 2


def test_damping_bounds_the_preconditioner() -> None:
    """Without a gradient P grows to 1/λ and no further."""
    x = nn.Parameter(torch.zeros(3, 3, dtype=torch.float64))
    opt = steepest.PSGD([x], lr=0.0, damping=0.5, rate=0.3)
    for _ in range(300):
        x.grad = torch.zeros_like(x)
        opt.step()
    Q = torch.kron(opt.state[x]["Ql"], opt.state[x]["Qr"])
    assert torch.allclose(Q.mT @ Q, 2 * torch.eye(9).double(), atol=1e-6)


@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (2, 3, 2)])
def test_no_step_is_longer_than_the_clip(shape: tuple[int, ...]) -> None:
    gs = [
        torch.randn(shape, generator=torch.Generator().manual_seed(k), dtype=torch.float64) * 10.0**k for k in range(5)
    ]
    ds = directions(D.PSGD(clip=0.7), gs)
    assert all(float(d.square().mean().sqrt()) <= 0.7 * (1 + 1e-12) for d in ds)
    assert any(math.isclose(float(d.square().mean().sqrt()), 0.7) for d in ds)


def test_an_embedding_of_50000_rows_has_a_diagonal_factor() -> None:
    state = D.PSGD().state
    assert [state[n].of((50_000, 64)) for n in ("Ql", "log_Ql", "Qr", "log_Qr")] == [None, (50_000,), (64, 64), None]
    assert [state[n].of((64,)) for n in ("Ql", "log_Ql", "Qr", "log_Qr")] == [None, (64,), None, None]


@pytest.mark.parametrize("codec", ["float32", "bfloat16", "int8"])
def test_composition(codec: Any) -> None:
    """Under SAM, caution, an L2 penalty and codecs it descends."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))
    a = torch.randn(32, 6, generator=torch.Generator().manual_seed(0))
    inner = D.Cautious(D.Coupled(D.PSGD(), weight_decay=1e-3))
    opt = steepest.Optimizer(
        model.parameters(), lr=0.03, direction=inner, point=steepest.point.SAM(rho=0.01), codec=codec
    )
    losses = [float(opt.step(lambda: (model(a) - a[:, :1] * a[:, 1:2]).square().mean())) for _ in range(40)]
    assert losses[-1] < 0.7 * losses[0]
