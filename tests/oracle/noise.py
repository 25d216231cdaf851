"""A point that nobody published: preSAM with a C that remembers, to see that the frame carries memory."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from torch import Tensor

from steepest import point
from steepest.core.part import State


class Noise(point.PreSAM):
    """The frame with memory: C is one over the square of what an average of gradients misses."""

    hyper = {"rho": (0.05, "[0, inf)"), "alpha": (0.9, "[0, 1)"), "floor": (1e-3, "(0, inf)")}
    state = {"signal": State()}
    on = "objective"

    def precondition(
        self, g: Tensor, x: Tensor, s: SimpleNamespace, h: SimpleNamespace
    ) -> tuple[Any, dict[str, Tensor]]:
        if h.t == 1:
            return 1.0, {"signal": g}
        m = s.signal * h.alpha + g * (1.0 - h.alpha)
        return 1.0 / ((m - g).square() + h.floor), {"signal": m}
