"""Decoupled weight decay: shrink the weights by ηλ besides moving them, whatever the direction is."""

from __future__ import annotations

from torch import Tensor

from steepest.core.fields import real
from steepest.core.part import Geometry, Scalars


class Decay(Geometry):
    r"""Decoupled weight decay, :math:`x^+ = (1 - \eta\lambda)\, x - \eta d`.

    Args:
        weight_decay: λ, default 0.01 (torch's AdamW); multiplied by the step size η as torch does.

    Source: Loshchilov & Hutter 2019, arXiv:1711.05101, Algorithm 2.

    Note: in the paper the schedule multiplies λ but the base learning rate does not; in torch both do.
    """

    weight_decay: float = real("[0, inf)", default=0.01)
    cite = ("loshchilov2019decoupled",)

    def __call__(self, x: Tensor, u: Tensor, eta: Tensor, h: Scalars) -> Tensor:
        """The map."""
        return x * (1 - eta * h.weight_decay) - u
