"""Muon (Jordan et al. 2024): momentum, orthogonalised. Equations, laws, and torch.optim.Muon as a second opinion."""

from __future__ import annotations

import io
import math
from typing import Any, Literal
from unittest.mock import patch

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import steepest
from steepest import direction as D
from steepest import geometry
from tests.laws.common import directions, matrices
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Linear, Problem, Quadratic, Vector, join
from tests.rows import Row, Setting

CONTRACT = {"Muon": Setting({"lr": 0.05, "weight_decay": 0.1}, shaped="a matrix has singular values")}
DIRECTIONS = {"Muon of a vector": D.Muon}
SCALE_FREE = {"Muon of a vector": lambda: D.Muon(eps=0.0)}

# ---- the equations ---------------------------------------------------------------------------------------------------


def quintic(a: Vector, eps: float) -> Vector:
    """Five times X ← aX + bXXᵀX + cXXᵀXXᵀX from X = A / ‖A‖ (Jordan et al. 2024), on either side of A."""
    x = a / max(float(np.sqrt((a * a).sum())), eps)
    for _ in range(5):
        cube = x @ x.T @ x
        x = 3.4445 * x - 4.7750 * cube + 2.0315 * (x @ x.T @ cube)
    return np.asarray(x)


def factor(a: Vector, tol: float = 1e-12) -> Vector:
    """U Vᵀ over the singular values that are not zero."""
    u, s, vh = np.linalg.svd(a, full_matrices=False)
    return np.asarray(u[:, s > tol] @ vh[s > tol])


def muon(f: Problem, x: Vector, etas: Rates, mu: float = 0.95, nesterov: bool = True, lam: float = 0.1, eps: float = 1e-7,
         exact: bool = False, match: bool = False) -> Path:  # fmt: skip
    """M ← μM + G, O = orth(G + μM), X ← (1 - ηλ)X - ηrO; the post's M, which is 1/(1 - μ) of torch's.

    A kernel is a matrix of its first dimension by the rest; a vector is a column, orthogonalised exactly.
    """
    momenta = [np.zeros_like(p) for p in f.parts(x)]
    for t, eta in enumerate(etas, 1):
        moved = []
        for k, (p, g) in enumerate(zip(f.parts(x), f.parts(f.grad(x, t)), strict=True)):
            momenta[k] = mu * momenta[k] + g
            u = g + mu * momenta[k] if nesterov else momenta[k]
            rows = len(p) if p.ndim else 1
            u = u.reshape(rows, -1)
            o = factor(u) if exact or p.ndim < 2 else quintic(u, eps / (1 - mu))
            r = 0.2 * math.sqrt(max(u.shape)) if match else math.sqrt(max(1.0, u.shape[0] / u.shape[1]))
            moved.append((1 - eta * lam) * p - eta * r * o.reshape(p.shape))
        x = join(moved)
        yield x


def exact_muon(params: Any, **options: Any) -> steepest.Optimizer:
    """Muon by singular values."""
    return steepest.Optimizer(params, direction=D.Muon(orthogonal="svd"), geometry=geometry.Decay(weight_decay=0.1),
                              **options)  # fmt: skip


SHAPES = Quadratic(range(1, 11), [0.7], [[0.1, 0.9], [-0.2, 0.3]], [[[0.4], [0.2]], [[3.0], [1.0]]], np.array(0.1))
#: rank 1, then nothing, then a full matrix whose second singular value is small
RANKS = Linear(np.zeros((3, 2)), [[1, 2], [2, 4], [-1, -2]], np.zeros((3, 2)), [[1, 2], [2, 4.1], [-1, -2]])

ORACLE = [
    Row("Muon", muon),
    Row(
        "Muon",
        muon,
        {"momentum": 0.8, "nesterov": False, "weight_decay": 0.3},
        {"mu": 0.8, "nesterov": False, "lam": 0.3},
    ),
    Row("Muon", muon, {"momentum": 0.9, "adjust_lr_fn": "match_rms_adamw"}, {"mu": 0.9, "match": True}),
    Row(exact_muon, muon, {}, {"exact": True}),
]
EDGES = [
    Row("Muon", muon, lr=0.02, on=SHAPES),  # before it turns round and round the minimum
    Row("Muon", muon, on=RANKS),
    Row("Muon", muon, {"eps": 0.3}, {"eps": 0.3}, on=RANKS),
    Row(exact_muon, muon, {}, {"exact": True}, on=SHAPES),
]


# ---- laws ------------------------------------------------------------------------------------------------------------

SIDES = [(4, 4), (6, 3), (3, 6), (1, 5), (5, 1)]
both = pytest.mark.parametrize("by", ["newton-schulz", "svd"])
By = Literal["newton-schulz", "svd"]
Scale = Literal["original", "match_rms_adamw"]


def stream(rows: int, columns: int) -> list[Tensor]:
    return [matrices(rows, columns, seed) for seed in range(4)]


def unscaled(by: By, **more: float) -> D.Muon:
    return D.Muon(orthogonal=by, eps=0.0, **more)  # type: ignore[arg-type]


@both
@pytest.mark.parametrize("shape", SIDES)
def test_rotated_gradients_are_rotated_steps(shape: tuple[int, int], by: By) -> None:
    """d(Q G P) = Q d(G) P for orthogonal Q and P, and d(Gᵀ) is d(G)ᵀ up to the scale."""
    q, p = (torch.linalg.qr(matrices(n, n, 9)).Q for n in shape)
    gs = stream(*shape)
    want = directions(unscaled(by), gs)
    for d, e, f in zip(want, directions(unscaled(by), [q @ g @ p for g in gs]), directions(unscaled(by), [g.mT for g in gs]),
                       strict=True):  # fmt: skip
        assert torch.allclose(e, q @ d @ p, atol=1e-11)
        r = math.sqrt(max(1, shape[0] / shape[1]) / max(1, shape[1] / shape[0]))
        assert torch.allclose(d, f.mT * r, atol=1e-11)


@both
@pytest.mark.parametrize("shape", SIDES)
def test_all_singular_values_are_near_the_scale(shape: tuple[int, int], by: By) -> None:
    """1 (between 0.68 and 1.21 by Newton-Schulz) times √max(1, rows/columns); downhill, and blind to the size of g."""
    gs = stream(*shape)
    d = directions(unscaled(by, momentum=0.0), gs)
    for g, e, small in zip(gs, d, directions(unscaled(by, momentum=0.0), [g * 2.0**-60 for g in gs]), strict=True):
        s = torch.linalg.svdvals(e) / math.sqrt(max(1, shape[0] / shape[1]))
        assert (s - 1).abs().max() < (0.33 if by == "newton-schulz" else 1e-12)
        assert (e * g).sum() > 0
        assert torch.allclose(e, small, atol=1e-12)
    if by == "svd":
        assert all(torch.isclose((e * g).sum(), torch.linalg.svdvals(g).sum() * math.sqrt(max(1, shape[0] / shape[1])))
                   for g, e in zip(gs, d, strict=True))  # fmt: skip


@pytest.mark.parametrize("shape", [(), (7,), (3, 2, 4), (3, 2, 2, 2), (2, 2, 1, 2, 3)])
@pytest.mark.parametrize("scale", ["original", "match_rms_adamw"])
def test_a_tensor_is_its_first_dimension_by_the_rest(
    shape: tuple[int, ...], scale: Literal["original", "match_rms_adamw"]
) -> None:
    """A vector's step has a root mean square of 1 (0.2)."""
    g = matrices(1, math.prod(shape), 0).view(shape)
    (d,) = directions(D.Muon(adjust_lr_fn=scale), [g])
    if len(shape) > 1:
        (want,) = directions(D.Muon(adjust_lr_fn=scale), [g.flatten(1)])
        assert torch.allclose(d.flatten(1), want, rtol=1e-13)
    else:
        assert torch.allclose(d.square().mean().sqrt(), torch.tensor(1.0 if scale == "original" else 0.2).double())


def test_matching_adamw_is_a_step_as_long_as_its() -> None:
    """Root mean square 0.2, when all singular values are 1."""
    for shape in SIDES[:3]:
        d = directions(D.Muon(orthogonal="svd", adjust_lr_fn="match_rms_adamw"), [matrices(*shape, 0)])[0]
        assert d.square().mean().sqrt() == pytest.approx(0.2)


@both
def test_no_gradient_is_no_step(by: By) -> None:
    assert not any(d.any() for d in directions(D.Muon(orthogonal=by), [torch.zeros(3, 4).double()] * 3))


def test_without_momentum_there_is_none() -> None:
    gs = stream(3, 4)
    for nesterov in (False, True):
        d = directions(D.Muon(momentum=0.0, nesterov=nesterov), gs)
        assert all(torch.allclose(a, directions(D.Muon(momentum=0.0), [g])[0]) for a, g in zip(d, gs, strict=True))


# ---- torch ---------------------------------------------------------------------------------------------------------------

OPTIONS: list[dict[str, Any]] = [
    {"lr": 0.05},
    {"lr": 0.05, "momentum": 0.8, "nesterov": False, "weight_decay": 0.3},
    {"lr": 0.3, "adjust_lr_fn": "match_rms_adamw", "ns_steps": 3},
    {"lr": 0.05, "eps": 0.1, "adjust_lr_fn": "original", "weight_decay": 0.0},
]
NET = [(5, 3), (4, 5), (2, 4), (3, 5)]


class Muon64(torch.optim.Muon):
    """torch's, with its products in the parameters' own type: it rounds every matrix to bfloat16."""

    def step(self, closure: Any = None) -> Any:
        with patch.object(torch.Tensor, "bfloat16", torch.Tensor.clone):
            return super().step(closure)


def start(dtype: torch.dtype = torch.float64) -> list[nn.Parameter]:
    random = torch.Generator().manual_seed(3)
    return [nn.Parameter(torch.randn(s, generator=random, dtype=torch.float64).to(dtype)) for s in NET]


def walk(opt: Any, params: list[nn.Parameter], steps: range) -> Tensor:
    """Steps on a loss that changes, under a learning rate that does; the weights at the end."""
    for t in steps:
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(t), dtype=torch.float64).to(params[0].dtype)
        W, V, U, Z = params
        opt.zero_grad()
        loss = torch.tanh(torch.tanh(x @ W.T) @ V.T) @ U.T
        ((loss - 0.5).square().mean() + (torch.tanh(x @ W.T) @ Z.T).square().mean()).backward()
        for group in opt.param_groups:
            group["lr"] *= 1.1 if t % 3 else 0.7
        opt.step()
    return torch.cat([p.detach().reshape(-1) for p in params])


def ids(options: dict[str, Any]) -> str:
    return " ".join(f"{k}={v}" for k, v in options.items())


@pytest.mark.parametrize("options", OPTIONS, ids=ids)
def test_same_weights(options: dict[str, Any]) -> None:
    ours, theirs = start(), start()
    mine = walk(steepest.Muon(ours, **options), ours, range(30))
    assert torch.allclose(mine, walk(Muon64(theirs, **options), theirs, range(30)), rtol=1e-10, atol=1e-11)
    assert not torch.allclose(mine, torch.cat([p.detach().reshape(-1) for p in start()]), atol=0.1)


def test_torchs_own_is_as_near_as_bfloat16_lets_it() -> None:
    ours, theirs = start(torch.float32), start(torch.float32)
    mine = walk(steepest.Muon(ours, lr=0.02), ours, range(5))
    assert torch.allclose(mine, walk(torch.optim.Muon(theirs, lr=0.02), theirs, range(5)), atol=0.02)


@pytest.mark.parametrize("way", [(Muon64, steepest.Muon), (steepest.Muon, Muon64), (steepest.Muon, steepest.Muon)])
@pytest.mark.parametrize("options", OPTIONS[:3], ids=ids)
def test_checkpoints(options: dict[str, Any], way: tuple[Any, Any]) -> None:
    """Saved as plain data, continued by the other as if nothing had happened; every name of torch's is there."""
    params, straight = start(), start()
    opt, file = way[0](params, **options), io.BytesIO()
    walk(opt, params, range(7))
    torch.save(opt.state_dict(), file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    other = way[1](params, **options)
    other.load_state_dict(saved)
    end = walk(other, params, range(7, 15))
    assert torch.allclose(end, walk(Muon64(straight, **options), straight, range(15)), rtol=1e-10, atol=1e-11)
    want = torch.optim.Muon(start(), **options).state_dict()["param_groups"][0]
    found = saved["param_groups"][0]
    want["adjust_lr_fn"], found["adjust_lr_fn"] = (g["adjust_lr_fn"] or "original" for g in (want, found))
    assert {k: found[k] for k in want if k != "lr"} == {k: v for k, v in want.items() if k != "lr"}
    assert all("momentum_buffer" in entry for entry in saved["state"].values())
