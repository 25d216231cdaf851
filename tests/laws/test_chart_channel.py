"""Laws of charts and channels: what is projected is projected, and what is not sent is not forgotten."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import steepest
from steepest.channel import TopK
from steepest.chart import LowRank, Split
from steepest.chart.lowrank import Projection
from steepest.direction import Adam, Direction, Sign
from tests.laws.common import few, matrices, streams, vectors, walk

KINDS = pytest.mark.parametrize("kind", ["svd", "svd_lowrank", "random", "columns"])
SHAPES = st.sampled_from([(3, 7), (7, 3), (4, 4), (2, 5)])
ONE = SimpleNamespace(scale=1.0, rest=1.0)


def chart(kind: Projection, rank: int = 1, every: int = 3) -> LowRank:
    return LowRank(rank=rank, every=every, projection=kind)


def fresh(c: LowRank, G: Tensor, t: int = 1, seed: int = 0) -> dict[str, Any]:
    """State with coordinates chosen for G."""
    s: dict[str, Any] = {}
    assert c.refresh(G, s, t, seed)
    return s


@KINDS
@few
@given(shape=SHAPES, seed=st.integers(0, 50))
def test_pull_undoes_push_and_push_after_pull_projects(kind: Projection, shape: tuple[int, int], seed: int) -> None:
    """With scale 1: U Uᵀ = 1 in the subspace, Uᵀ U is idempotent, symmetric, of the right rank, and shortens."""
    G, H, c = matrices(*shape, seed), matrices(*shape, seed + 1), chart(kind)
    s = fresh(c, G)
    small = c.pull(H, s)
    assert small.shape == ((1, shape[1]) if shape[0] <= shape[1] else (shape[0], 1))
    assert torch.allclose(c.pull(c.push(small, H, s, ONE), s), small, atol=1e-12)

    def project(M: Tensor) -> Tensor:
        return c.push(c.pull(M, s), M, s, ONE)

    assert torch.allclose(project(project(H)), project(H), atol=1e-12)
    assert float((project(H) * G).sum()) == pytest.approx(float((H * project(G)).sum()), abs=1e-10)
    assert torch.linalg.matrix_rank(project(H)) == 1
    assert project(H).norm() <= H.norm() + 1e-12


@few
@given(shape=SHAPES, seed=st.integers(0, 50))
def test_singular_vectors_keep_most(shape: tuple[int, int], seed: int) -> None:
    """No other subspace of this rank holds more of the gradient; what is left out is the tail of its spectrum."""
    G = matrices(*shape, seed)
    kept = {kind: chart(kind).pull(G, fresh(chart(kind), G)).norm() for kind in ("svd", "random", "columns")}
    assert float(kept["svd"]) == pytest.approx(float(torch.linalg.svdvals(G)[0]), rel=1e-12)
    assert max(kept.values()) == kept["svd"]


@pytest.mark.parametrize("shape", [(60, 90), (90, 60)])
def test_svd_lowrank_finds_the_leading_subspace_across_a_gap(shape: tuple[int, int]) -> None:
    """To (σ_{q+1} / σ_r)⁵ with q = r + 10; without a gap it need not, and the global random state is left alone."""
    r, side = 5, 60
    decays = torch.cat([torch.linspace(2.0, 1.0, r), 0.1 * 0.95 ** torch.arange(side - r)]).double()
    left, right = (torch.linalg.qr(matrices(n, side, n)).Q for n in shape)
    for spectrum, within in (
        (decays, 10 * float(decays[r + 10] / decays[r - 1]) ** 5),
        (torch.ones(side).double(), None),
    ):
        G = left @ torch.diag(spectrum) @ right.T
        before = torch.get_rng_state()
        near, exact = (chart("svd_lowrank", rank=r), fresh(chart("svd", rank=r), G)["P"])
        P, Q = fresh(near, G)["P"], fresh(near, G)["P"]
        assert torch.equal(before, torch.get_rng_state())
        assert torch.equal(P, Q)  # a function of step and place
        assert torch.allclose(P.T @ P, torch.eye(r).double(), atol=1e-12)
        missed = float(torch.linalg.matrix_norm(P @ P.T - exact @ exact.T, 2))
        assert missed < within if within is not None else missed > 0.5


@KINDS
def test_coordinates_are_renewed_on_time_and_drawn_apart(kind: Projection) -> None:
    """At steps 1, 1 + T, 1 + 2T; random ones differ from step to step and from parameter to parameter."""
    c = chart(kind, every=3)
    G = [matrices(9, 12, t) for t in range(8)]
    s: dict[str, Any] = {}
    assert [c.refresh(G[t], s, t + 1, 0) for t in range(8)] == [True, False, False, True, False, False, True, False]
    if kind in ("random", "columns"):
        drawn = [fresh(c, G[0], t, seed)["P"] for t in range(1, 5) for seed in range(4)]
        assert len({tuple(P.reshape(-1).tolist()) for P in drawn}) > (4 if kind == "columns" else 15)
        assert torch.equal(fresh(c, G[0], 2, 3)["P"], fresh(c, G[1], 2, 3)["P"])  # a function of step and place only


@pytest.mark.parametrize(("shape", "applies"), [((3, 4), True), ((2, 9), False), ((9, 2), False), ((5,), False),
                                                ((3, 3, 3), False), ((), False)])  # fmt: skip
def test_only_matrices_longer_than_the_rank_are_projected(shape: tuple[int, ...], applies: bool) -> None:
    assert chart("svd", rank=2).applies(torch.zeros(shape)) is applies


@KINDS
@few
@given(seed=st.integers(0, 20))
def test_galore_stays_in_its_subspace(kind: Projection, seed: int) -> None:
    """All moves between two refreshes lie in one subspace of the rank; state is as thin."""
    W = nn.Parameter(torch.zeros(4, 6, dtype=torch.float64))
    opt = steepest.GaLore([W], rank=2, every=5, projection=kind, lift="eager")
    for t in range(5):
        opt.step(lambda t=t: (matrices(4, 6, seed + t) * W).sum())  # type: ignore[misc]
    assert torch.linalg.matrix_rank(W.detach(), atol=1e-9) == 2
    assert opt.state[W]["m"].shape == (2, 6)


@few
@given(seed=st.integers(0, 50))
def test_frugal_moves_every_coordinate(seed: int) -> None:
    """Columns: rows in the subspace move as Adam moves, the others by ±lr; without a rest they stay."""
    G, W = matrices(4, 6, seed), nn.Parameter(torch.zeros(4, 6, dtype=torch.float64))
    opt = steepest.FRUGAL([W], lr=1.0, rank=2, eps=1.0)
    opt.step(lambda: (G * W).sum())
    inside = torch.zeros(4, dtype=torch.bool)
    inside[opt.state[W]["P"]] = True
    assert torch.allclose(W.detach()[inside], (-G / (G.abs() + 1))[inside], rtol=1e-12)
    assert torch.equal(W.detach()[~inside], -G.sign()[~inside])
    V = nn.Parameter(torch.zeros(4, 6, dtype=torch.float64))
    steepest.FRUGAL([V], lr=1.0, rank=2, rest=0.0).step(lambda: (G * V).sum())
    assert not V.detach()[~inside].any()


def test_the_rest_keeps_no_state() -> None:
    for part in (Sign(), Direction()):
        Split(part)
    with pytest.raises(TypeError, match="without state"):
        Split(Adam())


# ---- channels ----------------------------------------------------------------------------------------------------------


@few
@given(p=vectors(most=12), keep=st.sampled_from([0.01, 0.25, 0.5, 0.9, 1.0]))
def test_top_k_is_a_contraction(p: Tensor, keep: float) -> None:
    """‖C(p) - p‖² ≤ (1 - k/n)‖p‖²; exactly k entries are sent, none smaller than one that is kept back."""
    state: dict[str, Any] = {}
    sent = TopK(keep).send(p, state, SimpleNamespace(keep=keep))
    k = max(1, round(keep * len(p)))
    left = sent - p
    assert left @ left <= (1 - k / len(p)) * (p @ p) + 1e-12
    assert int((sent != 0).sum()) == min(k, int((p != 0).sum()))
    assert torch.equal(state["e"], -left)
    if left.any() and sent.any():
        assert left.abs().max() <= sent[sent != 0].abs().min()


@few
@given(gs=streams(length=6), keep=st.sampled_from([0.2, 0.5]))
def test_nothing_is_forgotten(gs: list[Tensor], keep: float) -> None:
    """What was sent and what is in memory add up to all gradients, at every step."""
    state: dict[str, Any] = {}
    channel, sent, seen = TopK(keep), torch.zeros_like(gs[0]), torch.zeros_like(gs[0])
    for g in gs:
        sent, seen = sent + channel.send(g, state, SimpleNamespace(keep=keep)), seen + g
        assert torch.equal(sent + state["e"], seen)  # eighths add up exactly


@few
@given(g=vectors(n=5), steps=st.integers(10, 30))
def test_error_feedback_walks_like_descent_in_the_long_run(g: Tensor, steps: int) -> None:
    """Under a constant gradient the distance to plain descent stays bounded by the memory: n/k gradients."""
    compressed = walk(steepest.CompressedSGD, [g] * steps, lr=1.0, keep=0.2)[-1]
    assert (compressed + steps * g).abs().max() <= 5 * 5 * g.abs().max()
