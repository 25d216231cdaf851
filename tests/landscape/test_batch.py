"""The law of a batch's largest eigenvalue against random matrices, and against itself."""

from __future__ import annotations

import math

import pytest
import torch

from steepest.landscape import BatchEdge


def noisy(whole: float, sigma: float, batch: int, size: int, seed: int) -> float:
    """The largest eigenvalue of a spike plus a symmetric matrix whose entries have the variance σ²/B."""
    g = torch.Generator().manual_seed(seed)
    W = torch.randn(size, size, generator=g, dtype=torch.float64)
    W = (W + W.T) / math.sqrt(2) * sigma / math.sqrt(batch)
    W[0, 0] += whole
    return float(torch.linalg.eigvalsh(W)[-1])


@pytest.mark.parametrize("batch", [1, 4, 16, 64])
def test_random_matrices_obey_it(batch: int) -> None:
    """A spike of 3 in noise of s = 9, of which batches of 1 drown it and the others do not."""
    size, sigma = 500, 4 / math.sqrt(500)
    edge = BatchEdge(whole=3.0, noise=size * sigma**2)
    assert (edge.at(batch) == 2 * math.sqrt(edge.noise / batch)) == (batch == 1)
    seen = sum(noisy(3.0, sigma, batch, size, seed) for seed in range(3)) / 3
    assert seen == pytest.approx(edge.at(batch), rel=0.04)


def test_by_hand() -> None:
    """λ = 2, s = 16: batches of 4 are just at the border (4), smaller ones are noise, larger ones 2 + 8/B."""
    edge = BatchEdge(2.0, 16.0)
    assert [edge.at(b) for b in (1, 4, 8, 16)] == [8.0, 4.0, 3.0, 2.5]
    assert edge.saturation == 4.0
    assert edge.at(1e12) == pytest.approx(2.0)


def test_all_rows_are_no_batch() -> None:
    edge = BatchEdge(2.0, 16.0, rows=32)
    assert edge.at(32) == edge.at(1000) == 2.0
    assert edge.at(16) == 2.0 + 16 / 2 * (1 / 16 - 1 / 32)
    values = [edge.at(b) for b in range(1, 33)]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("noise", [0.0, 3.0, 500.0])
@pytest.mark.parametrize("rows", [200.0, math.inf])
def test_one_measurement_is_enough(noise: float, rows: float) -> None:
    edge = BatchEdge(1.5, noise, rows)
    again = BatchEdge.measured(1.5, edge.at(10), 10, rows)
    assert again.noise == pytest.approx(noise, rel=1e-12, abs=1e-12)


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(ValueError, match="more batches"):
        BatchEdge.measured(2.0, 1.9, 10)
    with pytest.raises(ValueError, match="batch must"):
        BatchEdge.measured(2.0, 3.0, 50, rows=50)
    with pytest.raises(ValueError, match="whole"):
        BatchEdge(-1.0, 1.0)
    with pytest.raises(ValueError, match="batch"):
        BatchEdge(1.0, 1.0).at(0)
