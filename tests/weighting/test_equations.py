"""Frequencies of draws against the probabilities of the papers, and the two ways to balance domains."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from steepest import weighting


def test_weighted_draws_have_their_frequencies() -> None:
    """And what has no weight is never drawn, the first and the last included."""
    w = [0.0, 1.0, 0.0, 3.0, 0.5, 0.0]
    sampler = weighting.Weighted(w * 50)
    counts = np.bincount(np.array([i for _ in range(40) for i in sampler]) % 6, minlength=6)
    assert counts.sum() == 12_000
    assert np.allclose(counts / 12_000, np.array(w) / 4.5, atol=4 * 0.5 / 12_000**0.5)
    assert not counts[[0, 2, 5]].any()


def test_new_weights_count_from_the_next_epoch_on() -> None:
    """Also when they come in mid-epoch and the run is resumed there."""
    sampler = weighting.Weighted([1.0] * 8)
    first = [*weighting.Weighted([1.0] * 8)]
    batches = sampler.counting(torch.utils.data.DataLoader(range(8), 2, sampler=sampler))  # type: ignore[arg-type]
    next(batches)
    sampler.update(torch.arange(7), torch.zeros(7))
    again = weighting.Weighted([1.0] * 8)
    again.load_state_dict(sampler.state_dict())
    assert [i for b in batches for i in b.tolist()] == first[2:] == [*again]
    assert [*sampler] == [7] * 8 == [*again]
    with pytest.raises(ValueError, match="not all zero"):
        sampler.update([7], [0.0])
    assert sampler.weights.tolist() == [0.0] * 7 + [1.0]


@pytest.mark.parametrize("tau", [1.0, 2.0, 5.0])
def test_domains_have_the_probabilities_of_the_paper(tau: float) -> None:
    """p ∝ n^(1/τ), each sample of a domain alike; a domain that is not there takes no part."""
    sizes = np.array([400, 0, 90, 10])
    sampler = weighting.Temperature(np.repeat(np.arange(4), sizes).tolist(), tau)
    drawn = np.array([i for _ in range(40) for i in sampler])
    p = np.where(sizes, np.maximum(sizes, 1) ** (1 / tau), 0)
    domains = np.searchsorted(sizes.cumsum(), drawn, side="right")
    assert np.allclose(np.bincount(domains, minlength=4) / len(drawn), p / p.sum(), atol=4 * 0.5 / len(drawn) ** 0.5)
    within = np.bincount(drawn[drawn < 400], minlength=400)
    assert within.std() < 1.3 * within.mean() ** 0.5


def test_weighing_has_the_mean_of_drawing_and_more_variance() -> None:
    """Exactly, by sums over the domains."""
    sizes, tau, g = np.array([10_000.0, 100.0]), 5.0, np.array([1.0, -1.0])
    p, w = sizes / sizes.sum(), weighting.scalarization(sizes.tolist(), tau).numpy()
    q = sizes ** (1 / tau) / (sizes ** (1 / tau)).sum()
    assert np.allclose(w, q / p, rtol=1e-12)
    assert p @ (w * g) == pytest.approx(q @ g, rel=1e-12)
    variances = p @ (w * g) ** 2 - (p @ (w * g)) ** 2, q @ g**2 - (q @ g) ** 2
    assert variances[0] > 10 * variances[1]
