"""Two inner products with the next gradient say how far: whether gradients agree at all, and where the last step ended.

A step size has a usual value, in units in which one suits most models.  How much of a gradient the next one confirms says
how much of the usual step is safe, for what is not confirmed is the batch's own; and the slope along the last direction
says whether the step was too long for the curvature there.  Neither costs an evaluation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.fields import real
from steepest.core.part import Scalars, StepSize

LISTENS = 5  # agreements that make a mean worth believing
RAMP = 10.0  # on the way up to the usual step
MOST = 10.0  # usual steps: after an accident every slope is positive for long, and means nothing
STEEPNESS = 0.7  # how fast the wanted share of positive slopes rises with the logarithm of the step size


def wanted(steps: float, signal: float) -> float:
    """The share of positive slopes that is wanted at so many usual steps.

    >>> round(wanted(1.0, 1.0), 2), round(wanted(1.0, 0.1), 2), round(wanted(4.0, 1.0), 2)
    (0.3, 0.51, 0.53)
    """
    logit = math.log(3 / 7) + (1 - signal) + STEEPNESS * math.log(steps)
    return min(0.9, max(0.05, 1 / (1 + math.exp(-logit))))


class Slope(StepSize):
    r"""A usual step, as much of it as gradients agree, corrected by the signs of slopes.

    .. math:: c_t = \frac{\langle g_t, m_{t-1}\rangle}{\lVert g_t\rVert\,\lVert m_{t-1}\rVert},\qquad
              \varphi_t = \min\bigl(1, \max(0.1,\; 2\,\bar c_t)\bigr),\qquad
              s_t = \operatorname{sign}\,\langle g_t,\, m_{t-1} / (\sqrt{v_{t-1}} + \epsilon)\rangle

    *Agreement.*  The batch of g_t has not been seen by m_{t-1}, so what they share is signal; ‖m_{t-1}‖ is taken where g_t
    is not 0, for a batch that touches few rows of an embedding says nothing about the others.  c̄ is the mean of the first
    five c, and from then on the largest that a running mean over about five has reached.  (Later c falls or turns negative
    at every good step size, so a fall means nothing; a rise does.)  The usual step is :math:`P_t = \varphi_t P`.

    *On the way up* η begins at P/100.  Every positive slope takes it up tenfold, as far as P_t; a negative one takes it
    down by √10 and makes those after it count for less, so a model that cannot bear P (a pretrained one) stops below.

    *From there on*, with k the number of times that slopes have changed their sign,

    .. math:: \log\eta \leftarrow \log\eta + \frac{\log 2}{1 + k}\,\bigl(\mathbb 1[s_t > 0] - p_t\bigr),\qquad
              \operatorname{logit} p_t = \operatorname{logit} 0.3 + (1 - \varphi_t) + 0.7\,\log(\eta / P_t)

    A good step overshoots: three slopes in ten are positive, more where noise rules.  p is the share that is wanted, and
    it rises with η, so that it takes strong evidence to go far from the usual step in either direction; η stays below 10 P_t.

    Args:
        usual: P, for directions with elements about 1 in size under :class:`steepest.geometry.Relative`; default 0.06.

    Source: this library's own; the inner product s is that of hypergradient descent (Baydin et al. 2018, arXiv:1703.04782,
    equation 5), of which it takes the sign; gains that fall with the number of turns are Kesten's (1958).  All numbers
    were found by experiment (the page "Auto").

    Note: a mask that a cautious direction puts on d, and the scales of the geometry, are left out of the inner product.
    Where either product is 0 (a batch without a gradient, the first step) nothing is learnt.

    Example:
        from 0.1, two slopes up to the usual step of 10; then one that has turned.

        >>> h, memory = SimpleNamespace(usual=10.0), dict(Slope.memory)
        >>> for slope in (0.0, 1.0, 1.0, -1.0):
        ...     eta = Slope().eta({"slope": slope, "shared": abs(slope), "now": 1.0, "past": 1.0}, memory, h, 0.0)
        ...     print(round(eta, 3))
        0.1
        1.0
        10.0
        8.123
    """

    usual: float = real("(0, inf)", default=0.06)
    #: η; P_t/P; the running c, its largest, how many; negative slopes on the way up; 1 when up; last sign; its changes
    memory = {"found": 0.0, "signal": 1.0, "agree": 0.0, "most": 0.0, "heard": 0.0,
              "slips": 0.0, "up": 0.0, "sign": 0.0, "turns": 0.0}  # fmt: skip
    needs = frozenset({"m", "v", "eps"})
    plain = True
    cite = ("baydin2018hypergradient", "kesten1958accelerated")

    def measure(self, g: Tensor, d: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> dict[str, Tensor]:
        """The slope along the last direction and the agreement with the last moment, from the old moments."""
        slope = g * s.m / torch.clamp(s.v.sqrt() + h.eps, min=1e-30)  # before the first step both may be 0
        return {"slope": slope, "shared": g * s.m, "now": g * g, "past": torch.where(g != 0, s.m * s.m, 0.0)}

    def eta(self, sums: Mapping[str, float], memory: dict[str, float], h: Scalars, loss: float) -> float:
        """One slope further."""
        memory["found"] = memory["found"] or h.usual / 100
        slope, lengths = sums["slope"], math.sqrt(sums["now"]) * math.sqrt(sums["past"])
        if slope != 0.0 and lengths > 0.0:
            self._average(sums["shared"] / lengths, memory)
            (self._correct if memory["up"] else self._climb)(slope > 0, memory, h.usual * memory["signal"])
        return memory["found"]

    @staticmethod
    def _average(c: float, memory: dict[str, float]) -> None:
        """Average the agreement; a change of the usual step takes η along."""
        memory["heard"] += 1
        memory["agree"] += (c - memory["agree"]) / min(memory["heard"], LISTENS)
        if memory["heard"] >= LISTENS:
            memory["most"] = max(memory["most"], memory["agree"])
        before, memory["signal"] = memory["signal"], min(1.0, max(0.1, 2 * (memory["most"] or memory["agree"])))
        if memory["up"]:
            memory["found"] *= memory["signal"] / before

    @staticmethod
    def _climb(longer: bool, memory: dict[str, float], usual: float) -> None:
        """On the way up."""
        step = RAMP ** ((1.0 if longer else -0.5) / (1 + memory["slips"]))
        memory["found"] = min(memory["found"], usual) * step
        memory["slips"] += not longer
        if memory["found"] >= usual * 0.999:  # rounding
            memory["found"], memory["up"] = usual, 1.0

    @staticmethod
    def _correct(longer: bool, memory: dict[str, float], usual: float) -> None:
        """Towards the step size at which the share of positive slopes is the one that is wanted there."""
        sign = 1.0 if longer else -1.0
        memory["turns"] += sign * memory["sign"] < 0
        share = wanted(memory["found"] / usual, memory["signal"])
        found = memory["found"] * 2 ** ((longer - share) / (1 + memory["turns"]))
        memory["sign"], memory["found"] = sign, min(found, MOST * usual)
