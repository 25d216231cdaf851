"""A gradient made noisier than it is: what theory supposes about noise, to be tried on a loss of one's own."""

from __future__ import annotations

import math

from steepest.core.draws import normal, seed_of
from steepest.core.evaluate import Evidence
from steepest.core.fields import real, whole
from steepest.core.part import Oracle
from steepest.core.step import Run
from steepest.engine import shard


class AffineNoise(Oracle):
    r"""Gaussian noise whose variance is affine in the squared norm of the gradient.

    .. math:: \hat g = g + \frac{\sigma_0 z + \sigma_1 \lVert g\rVert z'}{\sqrt n},\quad z, z' \sim N(0, I),\quad
              \operatorname{E}\lVert \hat g - g\rVert^2 = \sigma_0^2 + \sigma_1^2 \lVert g\rVert^2

    over all n numbers of the parameters that have a gradient.  One forward and one backward an evaluation, new noise in each.
    The noisy gradient is what is left in ``p.grad``.

    Args:
        additive: σ₀ in units of g, default 0.
        relative: σ₁, default 0.
        seed: of all noise, default 0; with the number of the step it fixes z, the same on every process.

    Source: the affine noise of Attia & Koren 2023, arXiv:2302.08783, as an oracle.
    """

    additive: float = real("[0, inf)", default=0.0)
    relative: float = real("[0, inf)", default=0.0)
    seed: int = whole("[0, inf)", default=0)
    cite = ("attia2023adagrad",)

    def evaluate(self, run: Run) -> Evidence:
        """Loss and noisy gradient here."""
        here, first = run.backpropagate(), run.draws
        run.draws += 1
        g = [None if p.grad is None else shard.local(p.grad) for p in run.params]
        held = [p for p, gi in zip(run.params, g, strict=True) if gi is not None]
        size, relative = math.sqrt(run.dot(g, g)), run.h("relative")
        if not math.isfinite(size) or not held:
            return here
        scale = 1 / math.sqrt(sum(p.numel() for p in held) or 1)
        for i, (p, gi) in enumerate(zip(run.params, g, strict=True)):
            if gi is None:
                continue
            plain, along = (normal(seed_of(self.seed, run.t, first, k), i, p) for k in (0, 1))
            noisy = gi + ((run.h("additive") * plain + relative * size * along) * scale).to(gi.dtype)
            p.grad = shard.like(noisy, p)
        return here
