"""Differentially private gradients: each example's is shortened, and noise hides any single one."""

from __future__ import annotations

import torch
from torch import Tensor

from steepest.core.draws import normal, seed_of
from steepest.core.evaluate import Evidence
from steepest.core.fields import real, whole
from steepest.core.part import Oracle
from steepest.core.step import Run


class PrivateRows(Oracle):
    r"""Clip the gradient of each row, add Gaussian noise to the sum.

    .. math:: \tilde g = \frac1L \Big( \sum_{i=1}^n \frac{g_i}{\max(1, \lVert g_i\rVert / C)} + N(0, \sigma^2 C^2 I) \Big)

    with the norm over all parameters together.  The closure is a :class:`steepest.Rows`.  One forward and one backward
    for all rows; memory for the gradients of ``chunk`` rows.  The private gradient is what is left in ``p.grad``: of
    every trainable parameter, also of one that the loss does not use, whose gradient is noise alone.

    Args:
        bound: C in units of g, default 1.
        noise: σ, the noise multiplier, default 1.
        lot: L, the expected size of a batch; default 0: the rows that there are.  With batches drawn by Poisson sampling, as
            the privacy analysis supposes, give the expectation, which does not depend on the data.
        seed: of all noise, default 0; with the number of the step it fixes the noise.  Who knows it can take the noise away:
            for a model that is given away draw it, and keep it secret (``secrets.randbits(56)``).
        chunk: rows whose gradients are in memory at once, default 256.

    Source: Abadi et al. 2016, arXiv:1607.00133, Algorithm 1.

    Note: the loss returned is the plain mean of the rows' losses, and is not private.  Nothing here works out (ε, δ): give σ,
        L over the number of examples, and the number of steps to an accountant.  Samples are floating-point numbers.
    """

    bound: float = real("(0, inf)", default=1.0)
    noise: float = real("[0, inf)", default=1.0)
    lot: int = whole("[0, inf)", default=0)
    seed: int = whole("[0, inf)", default=0)
    chunk: int = whole("[1, inf)", default=256)
    needs = frozenset({"closure", "rows"})
    cite = ("abadi2016dpsgd",)

    def evaluate(self, run: Run) -> Evidence:
        """Mean loss and private gradient here."""
        rows, bound, first = run.rows, run.h("bound"), run.draws
        run.draws += 1

        def clipped(_: Tensor, g: list[Tensor]) -> list[Tensor]:
            flat = [gi.flatten(1).to(torch.promote_types(gi.dtype, torch.float32)) for gi in g]
            norms = torch.stack([torch.linalg.vector_norm(gi, dim=1, dtype=torch.float64) for gi in flat]).norm(dim=0)
            factors = 1 / (norms / bound).clamp(min=1)
            return [(factors.to(gi.dtype) @ gi).view(own.shape[1:]) for gi, own in zip(flat, g, strict=True)]

        losses, sums = rows.summed(clipped, self.chunk)
        lot, scale = self.lot or max(len(rows), 1), run.h("noise") * bound
        for i, (p, total) in enumerate(zip(rows.params, sums, strict=True)):
            hidden = total + scale * normal(seed_of(self.seed, run.t, first), i, p) if scale else total
            p.grad = (hidden / lot).to(p.dtype)
        return Evidence(losses.sum() / max(len(rows), 1))
