"""The slope where the last step ended says whether it was too short: a step size from the sign of one inner product."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.part import NewState, Scalars, StepSize

UP, CREEP = math.log(2), math.log(1.3)


class Slope(StepSize):
    r"""The step size at whose end the loss of the *next* batch stops falling, sought by bracketing and then by creeping.

    .. math:: s_t = \operatorname{sign}\,\langle g_t,\; m_{t-1} / (\sqrt{v_{t-1}} + \epsilon)\rangle,\qquad
              \log\eta_t = \log\eta_{t-1} + \kappa\, s_t

    The gradient g_t comes from a batch that the last direction has not seen.  Where it still points along that
    direction (s = 1) a longer step would have been better, where it points back (s = -1) a shorter one; only the sign
    is used, so one exploding batch is worth no more than any other.  While bracketing, κ is log 2 upwards and log √2
    downwards, until two of the steps downwards came after one upwards; after that κ = log 1.3 / (1 + n) at the n-th
    sign, so η can follow the run but drifts like a small power of the number of steps, at most.

    It costs no evaluation and no memory: the inner product is taken in the loop that moves x, from the old moments.

    Args:
        first: η of the first step, for directions with elements about 1 in size, default 1e-4.

    Source: this library's own; the inner product is that of hypergradient descent (Baydin et al. 2018,
    arXiv:1703.04782, equation 5), of which it takes the sign, with falling gains in the manner of Robbins and Monro.

    Note: a mask that a cautious direction puts on d is left out of the inner product.  A sign of 0 (a batch without a
    gradient, the first step) changes nothing.  ``first`` should be too small: where steps are far too long the points
    jump about, slopes are of either sign, and the bracket may end before η is short enough.

    Example:
        from 1, two steps up, then the slope has turned; the third sign of that kind ends the bracket.

        >>> h, memory = SimpleNamespace(first=1.0), dict(Slope.memory)
        >>> for slope in (1.0, 1.0, -1.0, -1.0, 1.0):
        ...     eta = Slope().eta({}, memory, h, 0.0)
        ...     Slope().after({"slope": slope}, memory, h)
        >>> eta, round(memory["found"], 4)  # √2 · √2 down from 4, then up by 1.3^(1/2)
        (2.0, 2.2804)
    """

    hyper = {"first": (1e-4, "(0, inf)")}
    #: η; ups and downs of the bracket; signs heard since; a running mean of the signs
    memory = {"found": 0.0, "ups": 0.0, "downs": 0.0, "heard": 0.0, "lean": 0.0}
    needs = frozenset({"m", "v", "eps"})
    plain = True
    cite = ("baydin2018hypergradient",)

    def eta(self, sums: Mapping[str, float], memory: dict[str, float], h: Scalars, loss: float) -> float:
        """What has been found so far."""
        memory["found"] = memory["found"] or h.first
        return memory["found"]

    def advance(
        self, g: Tensor, d: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars
    ) -> tuple[NewState, dict[str, Tensor]]:
        """The slope along the last direction, from the old moments."""
        return {}, {"slope": g * s.m / (torch.sqrt(s.v) + h.eps)}

    def after(self, sums: Mapping[str, float], memory: dict[str, float], h: Scalars) -> None:
        """One sign further."""
        slope = sums.get("slope", 0.0)
        if slope == 0.0:
            return
        sign = math.copysign(1.0, slope)
        memory["lean"] += 0.02 * (sign - memory["lean"])
        if memory["downs"] < 2:
            memory["found"] *= math.exp(UP if sign > 0 else -UP / 2)
            memory["ups"] += sign > 0
            memory["downs"] += sign < 0 < memory["ups"]
        else:
            memory["heard"] += 1
            memory["found"] *= math.exp(sign * CREEP / (1 + memory["heard"]))
