"""Learning rates from curvature: what another batch size needs, and what the ends of the spectrum need.

Gradient descent is stable while η is below two over the largest eigenvalue of the Hessian that it sees.  On a mini-batch
that eigenvalue is larger, by a part that falls with the batch; and with both ends of the spectrum known, a quadratic has
one best learning rate and one best momentum.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist

from steepest.core.part import check_number
from steepest.schedule.batch import summed, together
from steepest.schedule.shape import set_lr, whole

#: Hessian of a batch, its two ends: numbers, or what ``steepest.landscape.edges`` answers
Ends = Callable[[], tuple[Any, Any]]


def scale_lr(lr: float, B0: float, B: float, rule: str = "linear", saturation: float = math.inf) -> float:
    r"""The learning rate for another batch size.

    .. math:: \eta' = \eta \cdot r \ \text{(linear: SGD)} \quad\text{or}\quad \eta \sqrt r \ \text{(sqrt: Adam and others
              that divide by a root of squares)}, \qquad r = \frac{1 + B^*/B_0}{1 + B^*/B} \to \frac{B}{B_0}

    Args:
        lr: η, good for B₀ rows.
        B0: rows it was found with.
        B: rows to come.
        rule: "linear" or "sqrt".
        saturation: B*, rows at which noise and curvature are even, in the simplest case
            ``steepest.landscape.BatchEdge(...).saturation``; default infinite, for small batches: r = B/B₀.

    Source: Granziol, Zohren & Roberts 2022, arXiv:2006.09092, abstract; the saturation follows from their law of the batch
    Hessian's largest eigenvalue, λ(1 + B*/B).

    Example:
        >>> scale_lr(0.1, 32, 128), scale_lr(0.1, 32, 128, "sqrt")
        (0.4, 0.2)
        >>> scale_lr(0.1, 32, 128, saturation=64)
        0.2
    """
    for name, value in (("lr", lr), ("B0", B0), ("B", B)):
        check_number("scale_lr", name, value, "(0, inf)")
    check_number("scale_lr", "saturation", saturation, "[0, inf]")
    if rule not in ("linear", "sqrt"):
        raise ValueError(f"scale_lr: rule must be 'linear' or 'sqrt', got {rule!r}")
    r = B / B0 if saturation == math.inf else (1 + saturation / B0) / (1 + saturation / B)
    return lr * (r if rule == "linear" else math.sqrt(r))


def agreed(ends: list[float]) -> list[float]:
    """The mean over all processes, the same in each."""
    if not together():
        return ends
    mean: list[float] = (summed(torch.tensor(ends, dtype=torch.float64)) / dist.get_world_size()).tolist()
    return mean


class EdgeRule:
    r"""Learning rate and momentum from the two ends of the spectrum, measured now and then during the run.

    .. math:: \eta = \Bigl(\frac{2}{\sqrt L + \sqrt\mu}\Bigr)^2,\quad
              \beta = \Bigl(\frac{\sqrt L - \sqrt\mu}{\sqrt L + \sqrt\mu}\Bigr)^2

    for groups with a ``momentum`` (heavy ball); :math:`\eta = 1/L,\ \beta = \frac{\sqrt L - \sqrt\mu}{\sqrt L +
    \sqrt\mu}` where it is Nesterov's; :math:`\eta = 2/(L + \mu)` without one.  On quadratics these are the best constants.
    L is the largest eigenvalue seen so far, μ the smallest one or ``floor`` times L, whichever is larger.

    Call ``step()`` before each step of the optimizer; it measures at the first one, after 1, 2, 4, ... steps, for curvature
    moves fast at first, and then at every so many.

    Args:
        optimizer: any torch optimizer whose move is along the gradient (SGD); one that divides by the size of gradients is
            refused, for it does not see these eigenvalues.
        measure: answers the smallest and the largest eigenvalue, as numbers or as ``steepest.landscape.edges`` does, whose
            cost is then added to ``cost``.  Give it batches of the size that the run has: their eigenvalues limit the step.
        every: steps between measurements, default 100.
        floor: the least μ/L, default 0.001, for Hessians that are singular or indefinite: β ≤ 0.88.
        scale: multiplies η, default ½, for L grows between measurements and differs from batch to batch; 1 is for quadratics.
        forget: L is never below this part of the last one, default 1: a batch that is fitted has no curvature, and learning
            rates from it alone explode.

    Raises:
        TypeError: the optimizer divides by the size of gradients.
        ValueError: numbers out of range, or a dampened momentum.

    Source: Polyak 1964 for the rule.  That Lanczos should feed it during the run is from Granziol, Zohren & Roberts 2022,
    arXiv:2006.09092, abstract.  The first author's code (github.com/diegogranziol/GadamX, the three scripts named ssgd, ssgdm
    and ssgdmn) has the same η with heavy ball, and the same without momentum; the floor, the scale, the memory and all
    defaults are ours.

    Note: that code measures every 20 epochs on a fixed batch of 1,024 rows with 20 Lanczos steps and uses what it finds as it
    is: L is the largest absolute Ritz value, μ the median of them, or the least one after those with more than half of the
    weight were left out.  Its heavy-ball momentum has √L + μ below, without the root, and its third script η = √(μ/L) with
    Nesterov's β, which has not the units of a learning rate; neither is followed here.

    Where no curvature is positive, or a measurement is not finite, learning rate and momentum stay, and ``kept`` counts it.
    Under DDP every process measures its own batch, and all take the mean.

    Example:
        >>> x = torch.nn.Parameter(torch.ones(2))
        >>> opt = torch.optim.SGD([x], lr=1.0, momentum=0.5)
        >>> rule = EdgeRule(opt, lambda: (1.0, 9.0), scale=1.0)
        >>> rule.step()
        >>> opt.param_groups[0]["lr"], opt.param_groups[0]["momentum"]
        (0.25, 0.25)
    """

    def __init__(self, optimizer: torch.optim.Optimizer, measure: Ends, every: int = 100, floor: float = 1e-3,
                 scale: float = 0.5, forget: float = 1.0) -> None:  # fmt: skip
        self.every = whole("EdgeRule", "every", every, 1)
        self.floor = check_number("EdgeRule", "floor", floor, "[0, 1]")
        self.scale = check_number("EdgeRule", "scale", scale, "(0, inf)")
        self.forget = check_number("EdgeRule", "forget", forget, "[0, 1]")
        self.nesterov = any(getattr(part, "nesterov", False) for part in getattr(optimizer, "parts", list)())
        for group in optimizer.param_groups:
            squares = sorted({"betas", "beta2", "eps"} & group.keys())
            if squares:
                raise TypeError(f"EdgeRule sets learning rates from the Hessian, and {type(optimizer).__name__} divides by "
                                f"the size of gradients ({squares[0]}): take SGD, with or without momentum")  # fmt: skip
            if group.get("dampening"):
                raise ValueError(
                    f"EdgeRule: dampening must be 0, got {group['dampening']}: it shortens steps behind lr's back"
                )
        self.optimizer, self.measure = optimizer, measure
        self.t, self.kept = 0, 0
        self.low, self.high = 0.0, 0.0
        self.cost = {"forwards": 0, "backwards": 0, "hvps": 0}

    def step(self) -> None:
        """Before a step of the optimizer: measure where it is time to, and set learning rate and momentum."""
        if self.t % self.every == 0 or (self.t < self.every and self.t & (self.t - 1) == 0):
            low, high = self.measure()
            for name in self.cost:
                self.cost[name] += getattr(getattr(high, "cost", None), name, 0)
            low, high = agreed([float(end.values[0] if hasattr(end, "errors") else end) for end in (low, high)])
            if math.isfinite(low) and math.isfinite(high) and high > 0:
                self.low, self.high = low, max(high, self.forget * self.high)
                self.apply()
            else:
                self.kept += 1
        self.t += 1

    def apply(self) -> None:
        """Write learning rates and momenta into all groups."""
        L, mu = self.high, min(max(self.low, self.floor * self.high), self.high)
        big, small = math.sqrt(L), math.sqrt(mu)
        ratio = (big - small) / (big + small)
        for group in self.optimizer.param_groups:
            if not group.get("momentum"):  # made without, or with none
                lr = 2 / (L + mu)
            elif group.get("nesterov", self.nesterov):
                lr, group["momentum"] = 1 / L, ratio
            else:
                lr, group["momentum"] = (2 / (big + small)) ** 2, ratio**2
            set_lr(group, lr * self.scale)

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint; learning rate and momentum are in the optimizer's."""
        return {"t": self.t, "kept": self.kept, "low": self.low, "high": self.high, "cost": dict(self.cost)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.t, self.kept, self.low, self.high = state["t"], state["kept"], state["low"], state["high"]
        self.cost = dict(state["cost"])
