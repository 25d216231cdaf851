"""MARS with the gradient that its paper writes down: that of this mini-batch at the last weights, which costs a second pass."""

from __future__ import annotations

import math

from torch import Tensor

from steepest.core.evaluate import Evidence
from steepest.core.fields import flag, real
from steepest.core.part import Point, State
from steepest.core.step import Run, moves
from steepest.engine import shard
from steepest.point.perturbed import (
    Parts,
    combine,
    gradients_of,
    recall,
    remember,
    restoring,
    with_gradient,
    with_groups,
)


class MarsExact(Point):
    r"""Variance reduction by the gradient of the same mini-batch at the last weights.

    .. math:: c = g(x_t, \xi_t) + \gamma\frac{\beta_1}{1-\beta_1}\bigl(g(x_t, \xi_t) - g(x_{t-1}, \xi_t)\bigr),\quad
              c \leftarrow c / \max(1, \lVert c\rVert)

    and the direction works on c.  γ = 1 is STORM's recursive momentum.  Two forwards and two backwards a step; at the first the
    last weights are these, and c = g.  With a direction that has a ``beta1``: Adam, Lion.

    Args:
        gamma: γ, default 0.025 (paper).
        clip: the norm clip, per tensor, default True (paper).

    Source: Yuan et al. 2024, arXiv:2411.10438, Algorithm 1 (MARS) without its approximation.

    Note: ``direction.Mars`` is the approximation, with the gradient of the last mini-batch there.
    """

    gamma: float = real("[0, inf)", default=0.025)
    clip: bool = flag(default=True)
    state = {"x_prev": State("x", exact=True)}
    needs = frozenset({"closure", "beta1"})
    cite = ("yuan2024mars",)

    def ask(self, run: Run) -> Evidence:
        """Loss here, corrected gradient."""
        here = run.evaluate()
        g = gradients_of(run, here)
        if not run.acceptable(here):
            return here
        with restoring(run):
            for p in filter(moves, run.params):
                shard.local(p).copy_(recall(run, p, "x_prev"))
            there = run.evaluate()
        if not run.acceptable(there):
            return there
        boost = [run.h("gamma", group) / (1 / run.h("beta1", group) - 1) if run.h("beta1", group) else 0.0
                 for _, group in with_groups(run)]  # fmt: skip
        c = combine(([1 + b for b in boost], g), ([-b for b in boost], gradients_of(run, there)))
        run.noted = [None if gi is None else shard.local(p).clone() for p, gi in zip(run.params, c, strict=True)]
        return with_gradient(run, here, here.loss, self.clipped(run, c) if self.clip else c)

    @staticmethod
    def clipped(run: Run, c: Parts) -> Parts:
        """Each tensor divided by its norm, where that is above 1."""

        def cut(p: Tensor, ci: Tensor) -> Tensor:
            return ci / max(1.0, math.sqrt(shard.summed([ci.double().square().sum()], [p])))

        return [None if ci is None else cut(p, ci) for p, ci in zip(run.params, c, strict=True)]

    def keep(self, run: Run) -> None:
        """Remember where this step began."""
        for p, x in zip(run.params, run.noted or [None] * len(run.params), strict=True):
            if x is not None and "x_prev" in run.opt.state.get(p, {}):
                remember(run, p, "x_prev", x)
