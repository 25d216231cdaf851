"""What a mini-batch does to curvature: its Hessian is the whole one plus noise, and noise pushes the largest eigenvalue up."""

from __future__ import annotations

import math
from dataclasses import dataclass

from steepest.core.part import check_number


@dataclass(frozen=True)
class BatchEdge:
    r"""The largest eigenvalue of a batch's Hessian as a function of the rows in the batch.

    .. math:: \lambda_b = \lambda + \frac{s}{b\,\lambda} \ \text{ if } \lambda > \sqrt{s/b}, \quad
              2\sqrt{s/b} \ \text{ otherwise}; \qquad b = \frac{B}{1 - B/N}, \quad s = P \sigma^2

    for a spike λ in a symmetric random matrix of size P whose entries have the variance σ²/B: as long as λ stands out of
    the noise, what a batch adds to it falls like 1/B, and below that the noise is all one sees.

    >>> edge = BatchEdge.measured(whole=2.0, seen=3.0, batch=10)
    >>> edge.noise, edge.at(20), edge.saturation
    (20.0, 2.5, 5.0)

    Args:
        whole: λ, of the Hessian of all rows.
        noise: s, in units of λ² times rows.
        rows: N, all there are, default infinitely many.

    Source: Granziol, Zohren & Roberts 2022, arXiv:2006.09092, the theorem on extremal eigenvalues of the batch Hessian (from
    memory); the law itself is that of a spiked Wigner matrix.

    Note: batches are modelled as drawn with noise of a Wigner matrix; where the noise of a Hessian has a few large
    directions of its own, it is above the law.
    """

    whole: float
    noise: float
    rows: float = math.inf

    def __post_init__(self) -> None:
        check_number("BatchEdge", "whole", self.whole, "(0, inf)")
        check_number("BatchEdge", "noise", self.noise, "[0, inf)")
        check_number("BatchEdge", "rows", self.rows, "[1, inf]")

    @classmethod
    def measured(cls, whole: float, seen: float, batch: float, rows: float = math.inf) -> BatchEdge:
        """The law through one measurement.

        Args:
            whole: λ.
            seen: mean of the largest eigenvalue over batches.
            batch: rows in each.
            rows: all there are.

        Raises:
            ValueError: ``seen`` is below ``whole``, or the batch is everything.
        """
        if not 0 < whole <= seen:
            raise ValueError(f"a batch's largest eigenvalue is at least that of all rows, got {seen!r} and {whole!r}: take the "
                             "mean over more batches")  # fmt: skip
        if not 0 < batch < rows:
            raise ValueError(f"batch must lie in (0, {rows:g}), got {batch!r}")
        b = batch / (1 - batch / rows)
        return cls(whole, b * (whole * (seen - whole) if seen <= 2 * whole else seen * seen / 4), rows)

    def at(self, batch: float) -> float:
        """λ_b for a batch of so many rows."""
        b = check_number("BatchEdge", "batch", batch, "(0, inf)")
        if b >= self.rows:
            return self.whole
        s = self.noise * (1 / b - 1 / self.rows)
        return self.whole + s / self.whole if self.whole > math.sqrt(s) else 2 * math.sqrt(s)

    @property
    def saturation(self) -> float:
        """The batch at which noise and curvature are even, λ_b = 2λ (of infinitely many rows): below it the largest stable
        learning rate of SGD grows with the batch, above it ever less.
        """
        return self.noise / self.whole**2
