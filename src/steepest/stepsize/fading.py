"""Decay that the loss does not mind: one more inner product says whether smaller weights would be better.

The slope of the loss towards smaller weights is the gradient times the weights.  Where the next batch wants them smaller
there may be more decay, where it wants them larger there must be less; the decay settles where batches are of two minds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import SimpleNamespace

from torch import Tensor

from steepest.core.part import NewState, Scalars
from steepest.stepsize.slope import Slope

GAIN = 0.05  # of the logarithm, for one batch
LEAST, MOST = 3 / 8, 2.0  # of the decay that was given


class FadingSlope(Slope):
    r""":class:`Slope`, and a decay that grows and fades until the loss is indifferent to the size of the weights.

    .. math:: \log\kappa_{t+1} = \log\kappa_t + 0.05\,\operatorname{sign}\,\sum_p \lambda_p\langle g_t, x_t\rangle_p,
              \qquad \tfrac38\le\kappa\le 2,\qquad \kappa_1 = 1

    with p over all tensors and λ_p their ``weight_decay``; decay is κλ.  The sum is the slope of the loss in the direction
    that decay moves weights in, with the sign turned: the hypergradient of κ, which acts one step later.  A tensor
    without decay does not count.

    The bounds matter.  On data that repeat, weights fitted to the training loss alone grow too large; 3/8 keeps
    a LeNet from overfitting (the page "Auto").  What the geometry makes of λ_p (a tensor's scale) is left out of the sum.

    Args:
        usual: as for :class:`Slope`.

    Source: this library's own.  The hypergradient is that of Baydin et al. (2018, arXiv:1703.04782), taken for the decay
    instead of the step size.

    Example:
        weights that the loss wants larger lose their decay.

        >>> import torch, steepest
        >>> x = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
        >>> opt = steepest.Optimizer(
        ...     [x],
        ...     direction=steepest.direction.Adam(),
        ...     step_size=FadingSlope(),
        ...     geometry=steepest.geometry.Relative(weight_decay=0.1),
        ... )
        >>> for _ in range(3):
        ...     _ = opt.step(lambda: -x.sum())
        >>> round(opt.param_groups[0]["fade"], 4)  # exp(-0.15)
        0.8607
    """

    #: κ
    memory = {**Slope.memory, "fade": 1.0}
    needs = Slope.needs | {"weight_decay", "a geometry whose decay fades"}

    def advance(
        self, g: Tensor, d: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars
    ) -> tuple[NewState, dict[str, Tensor]]:
        """The slope of the loss towards larger weights, summed while they move."""
        return {}, {"outward": g * x * h.weight_decay}

    def after(self, sums: Mapping[str, float], memory: dict[str, float], h: Scalars) -> None:
        """One batch's word on the weights, for the next step."""
        if sums["outward"] != 0.0:
            fade = memory["fade"] * math.exp(math.copysign(GAIN, sums["outward"]))
            memory["fade"] = min(MOST, max(LEAST, fade))
