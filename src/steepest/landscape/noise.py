"""How much of a gradient is noise: the trace of its covariance, and the batch size at which noise and signal are even."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from steepest.core.evaluate import Counters
from steepest.landscape.loss import Loss
from steepest.landscape.operator import since


@dataclass(frozen=True)
class Noise:
    """Signal and noise of the gradient.

    Args:
        scale: B = tr Σ / ‖G‖², in rows: below it, doubling the batch nearly halves the steps; far above, it hardly helps.
            Infinite where the signal could not be distinguished from zero with so few rows.
        error: standard error of the scale by the jackknife.
        trace: tr Σ, of the gradient of a single row; unbiased.
        signal: ‖G‖² of the whole gradient; unbiased, so it may come out negative.
        rows: all rows that were looked at.
        cost: evaluations used.
    """

    scale: float
    error: float
    trace: float
    signal: float
    rows: int
    cost: Counters


def noise_scale(f: Loss, rows: int | None = None) -> Noise:
    r"""The simple noise scale, from the gradients of micro-batches.

    .. math:: \mathcal{B} = \frac{\operatorname{tr} \Sigma}{\lVert G \rVert^2}, \quad
        \operatorname{tr}\Sigma \approx \frac{b}{k-1} \sum_{i=1}^k \lVert g_i - \bar g \rVert^2, \quad
        \lVert G \rVert^2 \approx \lVert \bar g \rVert^2 - \frac{\operatorname{tr} \Sigma}{k b}

    >>> data = torch.tensor([[1.0], [3.0], [2.0], [6.0]])
    >>> f = Loss(torch.zeros(1), lambda x, rows: ((x - rows) ** 2).mean() / 2, batches=data.view(4, 1, 1).unbind())
    >>> noise = noise_scale(f)
    >>> round(noise.trace, 3), round(noise.signal, 3), round(noise.scale, 3)
    (4.667, 7.833, 0.596)

    Args:
        f: a loss with at least two batches of independent rows, each the mean over its rows.
        rows: b, rows in a batch; default: the length of its first entry.

    Memory: one gradient for each batch.

    Source: McCandlish et al. 2018, arXiv:1812.06162, section 2.2 and appendix A.1 (from memory).
    """
    b = _rows(f) if rows is None else rows
    k = len(f.batches)
    if k < 2:
        raise ValueError("noise shows between batches only: make the loss with batches=[...], at least two")
    if b < 1:
        raise ValueError(f"rows must be at least 1, got {b!r}")
    spent = since(f.counters)
    g = torch.stack([gradient for _, gradient in f.gradients()]).double()
    x, y = (g * g).sum(1), g @ g.mean(0)  # ‖gᵢ‖² and gᵢ·ḡ: all that is needed, also with a batch left out
    trace, signal = _parts(x.sum(), y.mean(), k, b)
    out = [_parts(x.sum() - x[i], (k * k * y.mean() - 2 * k * y[i] + x[i]) / (k - 1) ** 2, k - 1, b) for i in range(k)]
    scales = torch.tensor([t / s if s > 0 else math.inf for t, s in out], dtype=torch.float64)
    scatter = float((scales - scales.mean()).square().sum() * (k - 1) / k) if k > 2 else math.nan
    scale = trace / signal if signal > 0 else math.inf
    error = math.sqrt(scatter) if math.isfinite(scatter) else math.inf
    return Noise(scale, error, trace, signal, k * b, spent())


def _parts(squares: Tensor, mean_squared: Tensor, k: int, b: int) -> tuple[float, float]:
    """tr Σ and ‖G‖² from the sum of ‖gᵢ‖² and from ‖ḡ‖²; with one batch there is no knowing."""
    if k < 2:
        return math.nan, math.nan
    variance = float(squares - k * mean_squared) / (k - 1)
    return b * variance, float(mean_squared) - variance / k


def _rows(f: Loss) -> int:
    counts = {len(batch[0]) for batch in f.batches if batch and hasattr(batch[0], "__len__")}
    if len(counts) != 1 or not all(f.batches):
        raise ValueError(f"batches must have the same number of rows, found {sorted(counts)}; say rows= if they do")
    return counts.pop()
