"""Refusing evidence that looks like an accident: a batch whose gradient is far longer than those before.

A step size that adapts itself accumulates what it has seen: a sum of squared gradients, a mean of losses, a distance.  One
batch a thousand times too steep stays in that memory, often for ever, and shortening its gradient would not correct
what is learnt from its loss.  So the whole step is skipped, as a step with a NaN is, and no state changes.
"""

from __future__ import annotations

import itertools
import math
from statistics import median_low

import torch

from steepest.core.evaluate import Evidence
from steepest.core.fields import part, real, whole
from steepest.core.part import Oracle
from steepest.core.step import SPARSE, Run
from steepest.engine import shard


def length(run: Run, evidence: Evidence) -> float:
    """Over all tensors, the same on all processes; NaN where the loss is not finite."""
    if evidence.gradient is None:
        owners = [p for p in run.params if p.grad is not None]
        g = [shard.local(p.grad) for p in owners if p.grad is not None]
        if any(u.is_sparse for u in g):
            raise RuntimeError(SPARSE)
        norms = torch._foreach_norm(g, dtype=torch.float64) if g else []  # Run.grads would copy them all
        square = shard.summed([n.square() for n in norms], owners)
    else:  # made anew, one at a time: all at once would not fit
        square = run.dot(*itertools.tee(map(evidence.gradient, itertools.count(), run.params)))
    loss = 0.0 if evidence.loss is None else float(evidence.loss)
    return shard.mean_over_ranks(math.sqrt(square) + 0.0 * loss)


class SkipSpikes(Oracle):
    r"""Leave out a step whose gradient is much longer than usual.

    .. math:: \lVert g_t\rVert > \kappa\,\operatorname{median}(\lVert g_{t-w+1}\rVert, \ldots, \lVert g_t\rVert)
              \;\Rightarrow\; x_{t+1} = x_t

    with the norm over all parameters, shards and processes, at the first evaluation of a step.  Weights, state and the step
    size's memory are then as before; the step is counted in ``opt.counters.skipped``.  The norm enters the median all the
    same, so what stays large becomes usual: at most w/2 + 1 steps in a row are left out.  A gradient of zero, or one
    that is not finite, is neither judged nor stored.

    The first norms have nothing to be compared with.  So until ``listen`` of them are known nothing moves, and the
    median of three is robust to one.  With ``listen=1`` the first batch is used; if the second is more than κ times
    shorter, the first was the spike: the second is left out as well, and the method begins anew at the weights as they
    are then (:meth:`steepest.Optimizer.restart`).  Where a gradient really falls by κ in the first step that costs two steps
    of memory.  Where the first step itself has thrown the weights so far that gradients there are as long, it is not seen.

    Args:
        inner: the oracle whose gradients are checked, default backpropagation.
        factor: κ, default 10.
        window: w, how many norms are kept, default 32.
        listen: norms to be known before the first move, default 3; with 1 the first batch moves, and may be discarded.

    Source: none; leaving out steps by a rolling window of norms is what OLMo-core's ``SkipStepOptimizer`` (Allen Institute for
    AI) does, by standard deviations of losses and norms.

    Note: a median instead of mean and deviation: one spike moves a mean of 32 by thirty times itself, and hides the next.

    Example:
        >>> import torch, steepest
        >>> x = torch.nn.Parameter(torch.tensor([8.0]))
        >>> opt = steepest.SGD([x], lr=0.5, oracle=SkipSpikes(listen=1))
        >>> for scale in (1, 1, 1000, 1):
        ...     _ = opt.step(lambda: scale * (x * x).sum() / 2)
        >>> x.item(), opt.counters.skipped  # 8, 4, 2, 2, 1
        (1.0, 1)
    """

    source: Oracle = part(Oracle, alias="inner", default_factory=Oracle)
    factor: float = real("(1, inf)", default=10.0)
    window: int = whole("[1, inf)", default=32)
    listen: int = whole("[1, inf)", default=3)
    memory = {"norms": ()}

    def __post_init__(self) -> None:
        self.inner = (self.source,)
        if self.listen > self.window:
            raise ValueError(f"SkipSpikes: listen={self.listen} norms do not fit into window={self.window}")

    def evaluate(self, run: Run) -> Evidence:
        """As the oracle inside; the first evidence of a step is judged."""
        evidence = self.source.evaluate(run)
        if run.pending is None:
            past, run.pending = run.opt.param_groups[0]["norms"], run.opt.param_groups[0]["norms"]
            norm = length(run, evidence)
            if 0 < norm < math.inf and not run.left_out:
                run.pending = (*past, norm)[-self.window :]
                run.restarts = self.listen == 1 == len(past) < self.window and run.h("factor") * norm < past[0]
                listening = len(run.pending) < self.listen
                if run.restarts or listening or norm > run.h("factor") * median_low(run.pending):
                    run.left_out = True
                    self.keep(run)
        return evidence

    def keep(self, run: Run) -> None:
        """Store the norm."""
        run.opt.param_groups[0]["norms"] = run.pending
