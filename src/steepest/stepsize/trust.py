"""Trust ratios: each tensor moves by a fraction of its own norm."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import SimpleNamespace

from torch import Tensor

from steepest.core.fields import real
from steepest.core.part import Scalars, StepSize


class TrustRatio(StepSize):
    r"""The norm of a tensor over that of its direction, times ``lr``.

    .. math:: \eta = \frac{\phi(\lVert x\rVert)}{\lVert d\rVert},\quad
              \phi(z) = \min\{\max\{z, \gamma_l\}, \gamma_u\},\quad \eta = 1 \text{ where } \phi(\lVert x\rVert) \text{ or }
              \lVert d\rVert \text{ is } 0

    for each tensor: whatever the scale of d, it moves by the fraction ``lr`` of its norm.

    Args:
        low: γ_l, default 0: no bound.
        high: γ_u, default infinite: no bound.

    Source: You et al. 2020, arXiv:1904.00962, Algorithms 1 and 2; φ in section 3.

    Note: the paper does not say what is done about tensors of zeros, which would never move; the ratio 1 is that of
    implementations.  Some bound the ratio by 10 as well, which is not in the paper.
    """

    low: float = real("[0, inf)", default=0.0)
    high: float = real("(0, inf]", default=math.inf)
    per = "tensor"
    reads_lr = "is the step"
    cite = ("you2020lamb",)

    def measure(self, g: Tensor, d: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> dict[str, Tensor]:
        """‖x‖² and ‖d‖²."""
        return {"xx": x * x, "dd": d * d}

    def eta(self, sums: Mapping[str, float], memory: dict[str, float], h: Scalars, loss: float) -> float:
        """φ(‖x‖)/‖d‖."""
        above, below = min(max(math.sqrt(sums["xx"]), h.low), h.high), math.sqrt(sums["dd"])
        return above / below if above > 0 and below > 0 else 1.0


class LARS(StepSize):
    r"""A fraction of a tensor's norm over that of its gradient with decay, inside of the momentum.

    .. math:: \lambda = \frac{c\, \lVert x\rVert}{\lVert g\rVert + \beta \lVert x\rVert},\quad
              m \leftarrow \mu m + \gamma\lambda\, (g + \beta x),\quad \lambda = 1 \text{ where } \lVert x\rVert
              \text{ or } \lVert g\rVert \text{ is } 0

    for each tensor, with γ the ``lr`` and ``direction.SteppedMomentum``, whose decay is β.

    Args:
        coefficient: c, the paper's η, default 1e-3 (paper).

    Source: You, Gitman & Ginsburg 2017, arXiv:1708.03888, equation 6 and Algorithm 1.

    Note: by the paper's formula a tensor of zeros would never move; λ = 1 there is the authors' code.
    """

    coefficient: float = real("(0, inf)", default=1e-3)
    per = "tensor"
    reads_lr = "is the step"
    needs = frozenset({"moment of weighted gradients", "weight_decay"})
    gives = frozenset({"weights of gradients"})
    weighs_gradient = True
    cite = ("you2017lars",)

    def measure(self, g: Tensor, d: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> dict[str, Tensor]:
        """‖x‖² and ‖g‖²."""
        return {"xx": x * x, "gg": g * g}

    def eta(self, sums: Mapping[str, float], memory: dict[str, float], h: Scalars, loss: float) -> float:
        """λ."""
        x, g = math.sqrt(sums["xx"]), math.sqrt(sums["gg"])
        return h.coefficient * x / (g + h.weight_decay * x) if x > 0 and g > 0 else 1.0
