"""Clipping: a gradient that is longer than a threshold is shortened to it, all tensors by the same factor."""

from __future__ import annotations

import math

from steepest.core.evaluate import Evidence
from steepest.core.fields import part, real
from steepest.core.part import Oracle
from steepest.core.step import Run
from steepest.oracle.spikes import length


class ClipNorm(Oracle):
    r"""The gradient, no longer than a threshold.

    .. math:: \lVert g\rVert > \theta \;\Rightarrow\; g \leftarrow \frac{\theta}{\lVert g\rVert}\, g

    with the norm over all parameters, shards and processes; every gradient that a step evaluates is clipped.  Moments, step
    sizes and decay see the clipped gradient only, and it is what is left in ``p.grad``.  What is not finite stays as it is.

    Args:
        threshold: θ in units of g; the paper takes half to ten times the average norm, and has no default, nor is there one
            that fits: 1 here, as is usual.
        inner: the oracle whose gradient is clipped, default backpropagation.

    Source: Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063, Algorithm 1.

    Note: ``torch.nn.utils.clip_grad_norm_`` divides by ‖g‖ + 1e-6, and does not see what happens inside a step.

    Example:
        >>> import torch, steepest
        >>> x = torch.nn.Parameter(torch.tensor([30.0, 40.0]))
        >>> opt = steepest.SGD([x], lr=1.0, oracle=ClipNorm(5.0))
        >>> _ = opt.step(lambda: (x * x).sum() / 2)
        >>> x.tolist()
        [27.0, 36.0]
    """

    threshold: float = real("(0, inf)", default=1.0)
    source: Oracle = part(Oracle, alias="inner", default_factory=Oracle)
    cite = ("pascanu2013difficulty",)

    def __post_init__(self) -> None:
        self.inner = (self.source,)

    def keep(self, run: Run) -> None:
        """As the oracle inside."""
        self.source.keep(run)

    def evaluate(self, run: Run) -> Evidence:
        """As the oracle inside, and shortened."""
        evidence, most = self.source.evaluate(run), run.h("threshold")
        norm = length(run, evidence)
        if not most < norm < math.inf:
            return evidence
        if (made := evidence.gradient) is not None:
            return Evidence(evidence.loss, lambda i, p: made(i, p) * (most / norm), evidence.moved)
        for p in run.params:
            if p.grad is not None:
                p.grad = p.grad * (most / norm)
        return evidence
