"""AdaGrad with one step size for all coordinates: divide by the root of the sum of squared gradient norms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import SimpleNamespace

from torch import Tensor

from steepest.core.fields import real, word
from steepest.core.part import Per, Scalars, StepSize


class AdaGradNorm(StepSize):
    r"""The scalar version of AdaGrad.

    .. math:: b_t^2 = b_0^2 + \sum_{i\le t}\lVert d_i\rVert^2,\quad \eta_t = \frac{1}{b_t}

    times ``lr``, the paper's η; d = g in the paper.  No smoothness constant and no noise level enter.

    Args:
        b0: b₀ in units of g, default 1e-8: the first step has then the length lr, whatever the gradient.
        per: who shares one step size: ``"all"`` (paper), a ``"group"``, each ``"tensor"``.

    Source: Ward, Wu & Bottou 2019, arXiv:1806.01811 (as quoted by third parties); high-probability bounds under affine
    noise: Attia & Koren 2023, arXiv:2302.08783.

    Example:
        gradients 3 and 4 give 1/3 and 1/5.

        >>> memory, h = {"b2": 0.0}, SimpleNamespace(b0=0.0)
        >>> [round(AdaGradNorm().eta({"dd": g * g}, memory, h, 0.0), 4) for g in (3.0, 4.0)]
        [0.3333, 0.2]
    """

    b0: float = real("[0, inf)", default=1e-8)
    per: Per = word(default="all")
    memory = {"b2": 0.0}
    reads_lr = "is the step"  # a length, in units of x
    cite = ("ward2019adagrad", "attia2023adagrad")

    def measure(self, g: Tensor, d: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> dict[str, Tensor]:
        """‖d‖²."""
        return {"dd": d * d}

    def eta(self, sums: Mapping[str, float], memory: dict[str, float], h: Scalars, loss: float) -> float:
        """1/b."""
        memory["b2"] = (memory["b2"] or h.b0**2) + sums["dd"]
        return 1 / math.sqrt(memory["b2"]) if memory["b2"] > 0 else 0.0
