"""SOAP (Vyas et al. 2024, arXiv:2409.11321): Adam in the eigenbasis of Shampoo's factors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import steepest
from steepest import direction as D
from tests.laws.common import directions, matrices
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Linear, Problem, Quadratic, Vector, join
from tests.rows import SQUARE, Hand, Row, Setting

NULL_SPACE = "a first gradient of low rank leaves a part of the basis to rounding"
CONTRACT = {
    "SOAP": Setting({"lr": 0.05, "weight_decay": 0.1, "every": 2, "eps": 0.1}, root=True,
                    shaped="each side of a matrix has a basis",
                    exceptions={"micro_batches_add_up": NULL_SPACE} | dict.fromkeys(
                        [f"two_processes-{way}" for way in ("ddp", "fsdp", "resumed", "spoiled", "lost")], NULL_SPACE))
}  # fmt: skip

# ---- the equations ---------------------------------------------------------------------------------------------------


def soap(f: Problem, x: Vector, etas: Rates, b1: float = 0.95, b2: float = 0.95, b: float = 0.95, eps: float = 1e-8,
         lam: float = 0.01, every: int = 10, most: int = 10_000) -> Path:  # fmt: skip
    """Algorithms 3 and 4 with vec(G') = (Q_L ⊗ Q_R)ᵀ vec(G); the first gradient only makes the bases."""
    n = [p.size for p in f.parts(x)]
    m, v = [np.zeros(k) for k in n], [np.zeros(k) for k in n]
    factors: list[list[Vector]] = [[] for _ in n]
    bases: list[list[Vector]] = [[] for _ in n]
    for t, eta in enumerate(etas, 1):
        steps: list[Vector] = []
        for k, g in enumerate(f.parts(f.grad(x, t))):
            G = g.reshape(len(g), -1) if g.ndim > 1 else g.reshape(-1, 1)
            has = [g.ndim > 1 and side <= most for side in G.shape]
            grams = [A if on else None for A, on in zip((G @ G.T, G.T @ G), has, strict=True)]
            if t == 1:
                factors[k] = [np.eye(s) if A is None else (1 - b) * A for s, A in zip(G.shape, grams, strict=True)]
                bases[k] = [np.linalg.eigh(A)[1][:, ::-1] for A in factors[k]]
                bases[k] = [Q if on else np.eye(len(Q)) for Q, on in zip(bases[k], has, strict=True)]
                steps.append(0 * g)
                continue
            K = np.kron(*bases[k])
            m[k] = b1 * m[k] + (1 - b1) * G.reshape(-1)
            v[k] = b2 * v[k] + (1 - b2) * (K.T @ G.reshape(-1)) ** 2
            mh, vh = m[k] / (1 - b1 ** (t - 1)), v[k] / (1 - b2 ** (t - 1))
            steps.append((K @ ((K.T @ mh) / (np.sqrt(vh) + eps))).reshape(g.shape))
            for i, A in enumerate(grams):
                if A is not None:
                    factors[k][i] = b * factors[k][i] + (1 - b) * A
                    if (t - 1) % every == 0 and factors[k][i].any():
                        bases[k][i] = np.linalg.qr(factors[k][i] @ bases[k][i])[0]
        x = (1 - eta * lam) * x - eta * join(steps)
        yield x


def kernels(params: Any, **options: Any) -> steepest.Optimizer:
    """The direction alone."""
    return steepest.Optimizer(
        params, direction=D.SOAP(beta1=0.7, beta2=0.8, factor_beta=0.5, eps=0.1, every=1), **options
    )


#: gradients that span all sides of their matrices, so that their eigenvectors are their own
FULL = Quadratic(
    range(1, 14), [0.7, -0.4], [[0.1, 0.9, 0.3], [-0.2, 0.3, 0.8], [1.0, 0.5, -0.6]], np.array(0.1), np.array([0.3])
)
KERNEL = Linear(np.zeros((2, 1, 2)), [[[1, 2]], [[0.5, -1]]], [[[2, -1]], [[1, 1]]], [[[0.3, 1]], [[-2, 0.4]]])
COMMON = {"betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1, "every": 3}
LETTERS = {"b1": 0.8, "b2": 0.9, "b": 0.9, "eps": 1e-3, "lam": 0.1, "every": 3}
ORACLE = [
    Row("SOAP", soap, COMMON, LETTERS, lr=0.03, on=SQUARE),
    Row("SOAP", soap, COMMON | {"factor_beta": 0.5, "every": 1}, LETTERS | {"b": 0.5, "every": 1}, lr=0.03, on=SQUARE),
    Row("SOAP", soap, COMMON | {"max_dim": 3}, LETTERS | {"most": 3}, lr=0.03),
    Row(kernels, soap, {}, {"b1": 0.7, "b2": 0.8, "b": 0.5, "eps": 0.1, "lam": 0.0, "every": 1}, on=KERNEL),
]
EDGES = [Row("SOAP", soap, COMMON | {"eps": 0.1}, LETTERS | {"eps": 0.1}, lr=0.01, on=FULL)]
# G₁ = [[3, 0], [0, 1]]: L = R = diag(9, 1)/2, bases I, no move.  G₂ = [[1, -4], [2, 0.5]]: m̂ = G₂, v̂ = G₂², d = signs
HANDS = [
    Hand("SOAP", steepest.SOAP, {"betas": (0.5, 0.5), "eps": 0.0, "weight_decay": 0.0, "every": 1}, soap,
         {"b1": 0.5, "b2": 0.5, "b": 0.5, "eps": 0.0, "lam": 0.0, "every": 1},
         Linear(np.zeros((2, 2)), [[3, 0], [0, 1]], [[1, -4], [2, 0.5]]), [0.5, 0.25],
         [(0.0, 0.0, 0.0, 0.0), (-0.25, 0.25, -0.25, -0.25)]),
]  # fmt: skip


# ---- laws ------------------------------------------------------------------------------------------------------------


def stream(rows: int, columns: int, seed: int = 0) -> list[Tensor]:
    return [matrices(rows, columns, seed + k) for k in range(6)]


def test_a_rotated_gradient_is_a_rotated_step() -> None:
    """d(QGP) = Q d(G) P: Adam's coordinates are found and not given."""
    q, p = (torch.linalg.qr(matrices(3, 3, n)).Q for n in (8, 9))
    gs = stream(3, 3)
    make = lambda: D.SOAP(every=2, eps=1e-4)  # noqa: E731
    for d, e in zip(directions(make(), gs), directions(make(), [q @ g @ p for g in gs]), strict=True):
        assert torch.allclose(e, q @ d @ p, atol=1e-8)


@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (2, 3, 2)])
def test_without_bases_it_is_adam_one_step_late(shape: tuple[int, ...]) -> None:
    gs = [torch.randn(shape, generator=torch.Generator().manual_seed(k), dtype=torch.float64) for k in range(5)]
    ours = directions(D.SOAP(beta1=0.8, beta2=0.9, max_dim=0), gs)
    assert not ours[0].any()
    adam = directions(D.Adam(beta1=0.8, beta2=0.9), gs[1:])
    assert all(torch.allclose(a, b, rtol=1e-12) for a, b in zip(ours[1:], adam, strict=True))


def test_an_embedding_of_50000_rows_is_one_sided() -> None:
    x = nn.Parameter(torch.zeros(50_000, 4))
    opt = steepest.SOAP([x], lr=0.1)
    for _ in range(2):
        opt.step(lambda: ((x[:7] - 1) ** 2).sum())
    assert sorted(n for n, v in opt.state[x].items() if isinstance(v, Tensor)) == ["QR", "R", "m", "v"]
    assert bool(x[:7].any())


@pytest.mark.parametrize("every", [1, 3])
def test_bases_stay_orthonormal_and_near_the_eigenvectors(every: int) -> None:
    x = nn.Parameter(torch.zeros(5, 4, dtype=torch.float64))
    opt = steepest.SOAP([x], lr=0.0, every=every)
    scale = torch.tensor([9.0, 5.0, 3.0, 1.0, 0.3]).double()[:, None]
    for k in range(60):
        x.grad = scale * matrices(5, 4, k)
        opt.step()
    L, Q = opt.state[x]["L"], opt.state[x]["QL"]
    assert torch.allclose(Q.mT @ Q, torch.eye(5).double(), atol=1e-12)
    rest = Q.mT @ L @ Q
    assert (rest - torch.diag(rest.diagonal())).norm() < 0.1 * L.norm()


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_bad_factor_keeps_the_basis(bad: float) -> None:
    x, y = nn.Parameter(torch.ones(3, 3)), nn.Parameter(torch.ones(3, 3))
    opt = steepest.SOAP([x, y], lr=0.1, every=1, nonfinite="propagate")
    a = matrices(3, 3, 0, torch.float32)
    loss = lambda: ((a @ x).pow(4) + (a @ y).pow(4)).sum()  # noqa: E731
    opt.step(loss)
    good = [opt.state[p]["QL"].clone() for p in (x, y)]
    opt.state[x]["L"].fill_(bad)
    opt.step(loss)
    assert torch.equal(opt.state[x]["QL"], good[0])
    assert not torch.equal(opt.state[y]["QL"], good[1])
    assert bool(torch.isfinite(x).all())


@pytest.mark.parametrize("codec", ["float32", "bfloat16", "int8"])
def test_composition(codec: Any) -> None:
    """Under SAM, caution, an L2 penalty and codecs it descends."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))
    a = torch.randn(32, 6, generator=torch.Generator().manual_seed(0))
    inner = D.Cautious(D.Coupled(D.SOAP(every=2), weight_decay=1e-3))
    opt = steepest.Optimizer(
        model.parameters(), lr=0.03, direction=inner, point=steepest.point.SAM(rho=0.01), codec=codec
    )
    losses = [float(opt.step(lambda: (model(a) - a[:, :1] * a[:, 1:2]).square().mean())) for _ in range(40)]
    assert losses[-1] < 0.7 * losses[0]
