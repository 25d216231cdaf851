"""Schedule-free: walk on one point, return an average, and ask for gradients in between."""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from steepest.core.part import NewState, Scalars
from steepest.core.run import Run
from steepest.engine import shard
from steepest.point.average import Average


class ScheduleFree(Average):
    r"""Gradients are asked between the point that walks and the average that is returned.

    .. math:: y_t = (1-\beta)\, z_t + \beta\, \bar x_t,\quad z_{t+1} = z_t - \eta_t d(y_t),\quad
              \bar x_{t+1} = \bar x_t + \frac{1+\gamma}{t+\gamma}\,(z_{t+1} - \bar x_t)

    The parameters hold y, where training evaluates; ``with opt.averaged():`` puts x̄ into the model.  z is not stored: it
    is :math:`(y - \beta\bar x)/(1-\beta)`.  The point z_k weighs about :math:`k^\gamma`, whatever the step size was, and
    t counts the steps of each parameter.

    Args:
        gamma: γ, an integer, default 0 as in the paper.
        pull: β, how far from the walking point towards the average, default 0.9 (paper); 0 is
            :class:`steepest.point.Average`.

    Source: Defazio et al. 2024, arXiv:2405.15682, equations 3 to 5; weights that grow as a power of t are their code's
    ``r``.

    Note: in the authors' code points are weighted by the square of the largest learning rate so far as well.  A decay in
    the geometry acts on y and moves z by 1/(1-β) of it.

    Example:
        >>> import torch, steepest
        >>> x = torch.nn.Parameter(torch.tensor([8.0]))
        >>> opt = steepest.SGD([x], lr=0.5, point=ScheduleFree(gamma=0, pull=0.5))
        >>> for _ in range(2):
        ...     _ = opt.step(lambda: (x * x).sum() / 2)
        >>> x.item()  # z: 8, 4, 2; the averages: 4, 3; between them
        2.5
        >>> with opt.averaged():
        ...     x.item()
        3.0
    """

    hyper = {"pull": (0.9, "[0, 1)")}
    structure = {"gamma": (0, "[0, inf)")}
    cite = ("defazio2024road",)

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.bends = True

    def after_direction(self, d: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The part of the walking point's step that y makes at once."""
        return d * (1 - h.pull), {}

    def keep(self, run: Run) -> None:
        """Take in the point that walks, and move y along with the average."""
        for group in run.opt.param_groups:
            pull, by_age = run.h("pull", group), defaultdict[int, list[Tensor]](list)
            for p in group["params"]:
                state = run.opt.state.get(p, {})
                if "average" in state and state.get("averaged", 0) < state["step"]:  # it was moved in this step
                    state["averaged"] = state["step"]
                    by_age[state["step"]].append(p)
            for t, params in by_age.items():
                means: list[Tensor] = [shard.local(run.opt.state[p]["average"]) for p in params]
                points = [shard.local(p) for p in params]
                steps = torch._foreach_sub([y.to(m.dtype) for y, m in zip(points, means, strict=True)], means)
                torch._foreach_mul_(steps, (1 + self.gamma) / (t + self.gamma) / (1 - pull))
                torch._foreach_add_(means, steps)
                torch._foreach_add_(points, [u.to(y.dtype) for u, y in zip(steps, points, strict=True)], alpha=pull)
