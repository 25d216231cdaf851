"""Schedule-free: walk on one point, return an average, and evaluate gradients in between."""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from steepest.core.fields import real, whole
from steepest.core.part import NewState, Scalars
from steepest.core.step import Run
from steepest.engine import shard
from steepest.point.average import Average


class ScheduleFree(Average):
    r"""Gradients are evaluated between the point that walks and the average that is returned.

    .. math:: y_t = (1-\beta)\, z_t + \beta\, \bar x_t,\quad z_{t+1} = z_t - \eta_t\,(d(y_t) + \lambda y_t),\quad
              \bar x_{t+1} = \bar x_t + c_t\,(z_{t+1} - \bar x_t),\qquad
              c_t = \frac{w_t}{\sum_{k \le t} w_k},\quad w_t = \tbinom{t+\gamma-1}{\gamma}\, \eta_t^r

    The parameters hold y, where training evaluates; ``with opt.averaged():`` puts x̄ into the model.  z is not stored: it
    is :math:`(y - \beta\bar x)/(1-\beta)`.  The binomial coefficient grows as :math:`t^\gamma`, the η of a weight is the
    group's ``lr``, and t counts the steps of each parameter.  Where the direction corrects the bias of a second moment
    (Adam), the paper has the correction in the step size; so has η here, for weights and decay:
    :math:`\eta_t \sqrt{1-\beta_2^t}`.  Decay by λ in the geometry acts at y and moves z by ηλy.

    Args:
        gamma: γ, an integer, default 0 as in the paper.
        power: r, an integer, default 2 (paper); 0 weighs points by their age alone, and leaves Adam's correction out of η.
        pull: β, how far from the walking point towards the average, default 0.9 (paper); 0 is
            :class:`steepest.point.Average`.

    Source: Defazio et al. 2024, arXiv:2405.15682, equations 3 to 5, and Algorithm 1 for decay and for weights with Adam
    (there r = 2); weights that grow as a power of t are their code's ``r``, and r its ``weight_lr_power``.

    Note: the authors' code weighs by the largest learning rate so far, which differs where the rate falls.  A step size
    that is found (DoG) is not in the weights.

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

    pull: float = real("[0, 1)", default=0.9)
    gamma: int = whole("[0, inf)", default=0)
    power: int = whole("[0, inf)", default=2)
    keeps = (*Average.keeps, "weighed")
    cite = ("defazio2024road",)

    def __post_init__(self) -> None:
        self.bends = True

    def after_direction(self, d: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The part of the walking point's step that y makes at once."""
        return d * (1 - h.pull), {}

    def pace(self, eta: Tensor, h: Scalars) -> Tensor:
        """Decay and prox go with that part."""
        return eta * ((1 - h.pull) / (getattr(h, "c2", 1.0) if self.power else 1.0))

    def share(self, t: int, eta: float, state: dict[str, Any]) -> float:
        """c at a parameter's step t; ``weighed`` is the sum of weights so far, with the last binomial coefficient as 1."""
        if not self.power:
            return (1 + self.gamma) / (t + self.gamma)
        weight = eta**self.power
        before = state.get("weighed", weight * (t - 1 + self.gamma) / (1 + self.gamma))  # saved before it was kept
        state["weighed"] = weight + (before * (t - 1) / (t + self.gamma - 1) if t > 1 else 0.0)
        return weight / state["weighed"] if state["weighed"] > 0 else 0.0

    def keep(self, run: Run) -> None:
        """Take in the point that walks, and move y along with the average."""
        for group in run.opt.param_groups:
            pull, by_share, etas = run.h("pull", group), defaultdict[float, list[Tensor]](list), dict[int, float]()
            for p in group["params"]:
                state = run.opt.state.get(p, {})
                if "average" in state and state.get("averaged", 0) < state["step"]:  # it was moved in this step
                    state["averaged"] = t = state["step"]
                    if t not in etas:
                        h = run.opt.scalars(group, t)
                        etas[t] = h["lr"] / h.get("c2", 1.0)
                    by_share[self.share(t, etas[t], state)].append(p)
            for c, params in by_share.items():
                means: list[Tensor] = [shard.local(run.opt.state[p]["average"]) for p in params]
                points = [shard.local(p) for p in params]
                steps = torch._foreach_sub([y.to(m.dtype) for y, m in zip(points, means, strict=True)], means)
                if run.opt.nonfinite == "guard":  # a weight that is infinite stays so
                    steps = tuple(u.nan_to_num_(0.0, 0.0, 0.0) for u in steps)
                torch._foreach_mul_(steps, c / (1 - pull))
                torch._foreach_add_(means, steps)
                torch._foreach_add_(points, [u.to(y.dtype) for u, y in zip(steps, points, strict=True)], alpha=pull)
