"""Refinement: the paper's formula, written anew with SciPy's median filter, and what must hold for any norms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import median_filter

from steepest.schedule import Record, refine

NORMS = st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=60)
KINDS = st.sampled_from(["sgd", "adam"])


def paper(G: list[float], kind: str, tau: float) -> list[float]:
    """Algorithm 1: median filter (nearest at the start, reflected at the end), weights, tail sums, one loop each."""
    T = len(G)
    width = 2 * (int(tau * T) // 2) + 1
    right = min(2 * width, T - 1)  # more of the mirror is never looked at
    smooth = median_filter(np.pad(G, (0, right), mode="reflect"), size=width, mode="nearest")[:T]
    w = [1 / g**2 if kind == "sgd" else 1 / g for g in smooth]
    eta = [w[t] * sum(w[p] for p in range(t + 1, T)) for t in range(T)]
    return [e / max(eta) for e in eta]


@settings(deadline=None)
@given(G=NORMS, kind=KINDS, tau=st.floats(0.01, 1.0))
def test_it_is_the_papers(G: list[float], kind: str, tau: float) -> None:
    assert np.allclose(refine(G, kind, tau), paper(G, kind, tau), rtol=1e-9, atol=0)


@settings(deadline=None)
@given(G=NORMS, kind=KINDS, scale=st.floats(1e-6, 1e6))
def test_the_unit_of_the_loss_does_not_matter(G: list[float], kind: str, scale: float) -> None:
    assert np.allclose(refine(G, kind), refine([scale * g for g in G], kind), rtol=1e-9)


@settings(deadline=None)
@given(T=st.integers(2, 300), g=st.floats(1e-3, 1e3), kind=KINDS)
def test_equal_norms_give_linear_decay(T: int, g: float, kind: str) -> None:
    assert np.allclose(refine([g] * T, kind), [1 - t / (T - 1) for t in range(T)], atol=1e-12)


@settings(deadline=None)
@given(G=NORMS)
def test_sgd_weighs_by_squares(G: list[float]) -> None:
    assert np.allclose(refine(G, "sgd"), refine([g * g for g in G], "adam"), rtol=1e-9)


def test_large_norms_at_the_start_give_a_warmup_and_small_ones_at_the_end_a_fast_anneal() -> None:
    T = 1000
    falling = [1 + 9 * max(0.0, 1 - t / 200) for t in range(T)]
    assert 180 <= int(np.argmax(refine(falling))) <= 260
    rising = [1 + t / T for t in range(T)]
    line = np.array([1 - t / (T - 1) for t in range(T)])
    assert (np.array(refine(rising))[1:-1] < line[1:-1]).all()


def test_outliers_are_filtered() -> None:
    G = [1.0] * 200
    spiked = [100.0 if t in (20, 21, 150) else g for t, g in enumerate(G)]
    assert refine(spiked) == refine(G)
    assert refine(spiked, tau=1e-6) != refine(G, tau=1e-6)


def test_steps_without_a_norm_are_bridged() -> None:
    G = [4.0, 3.0, 2.0, 1.0, 1.0, 1.0]
    for hole in (None, float("nan"), float("inf")):
        assert refine([4.0, hole, 2.0, 1.0, hole, 1.0], tau=0.1) == refine(G, tau=0.1)


def test_sizes_far_from_one_do_not_overflow() -> None:
    assert refine([1e-200, 2e-200, 1e-200]) == refine([1.0, 2.0, 1.0])


def test_a_record_gives_the_norm_of_its_kind() -> None:
    record = Record(l2=[1.0, 2.0, 3.0, 1.0], l1=[3.0, 1.0, 1.0, 2.0])
    assert refine(record, "sgd") == refine(record.l2, "sgd")
    assert refine(record, "adam") == refine(record.l1, "adam")


def test_a_long_run_is_quick() -> None:
    """One hundred thousand steps with a window of ten thousand: a second, not minutes or gigabytes."""
    G = np.random.default_rng(0).gamma(2.0, size=100_000).tolist()
    factors = refine(G)
    assert len(factors) == 100_000
    assert max(factors) == 1


@pytest.mark.parametrize("wrong", ["reflect", "power", "tail"])
def test_the_oracle_would_notice(wrong: str) -> None:
    """Other edges, another power, a tail that begins a step early: each is another schedule on these norms."""
    G = [3.0, 1.0, 2.0, 1.0, 4.0, 1.0, 5.0, 1.0, 2.0, 6.0]
    ours = np.array(refine(G, "sgd", 0.5))
    smooth = median_filter(np.array(G), size=5, mode="reflect" if wrong == "reflect" else "nearest")
    w = smooth ** (-1.0 if wrong == "power" else -2.0)
    later = np.cumsum(w[::-1])[::-1] - (0 if wrong == "tail" else w)
    assert not np.allclose(ours, w * later / (w * later).max(), rtol=1e-3)
