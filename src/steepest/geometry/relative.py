"""Moves measured in a tensor's own size: large weights take longer steps than small ones, at one step size for all."""

from __future__ import annotations

import torch
from torch import Tensor

from steepest.core.fields import real
from steepest.core.part import Geometry, Scalars
from steepest.core.rule import total

FLOOR = 0.01  # the size of a tensor of zeros


class Relative(Geometry):
    r"""Step and decay in proportion to the root of a tensor's size.

    .. math:: x^+ = x - s\,(\eta d + \eta\lambda x),\qquad s = \max\bigl(\sqrt{\textstyle\sum x^2 / n},\; 0.01\bigr)^{1/2}

    with n the number of elements of the tensor.  Weights that begin with a variance of 1/(fan in) have s = (fan in)^(-1/4):
    halfway between one step for all tensors and steps in proportion to them.

    A tensor of zeros moves as if its elements were 0.01.  A step size that measures decay
    (:class:`steepest.stepsize.FadingSlope`) multiplies λ.

    Args:
        weight_decay: λ, default 0.01.

    Source: this library's own.  With the exponent 1 and no decay s is the scale of Adafactor's relative steps (Shazeer &
    Stern 2018, arXiv:1804.04235, Algorithm 4, line 4); the exponent 1/2 was found by experiment (the page "Auto").

    Example:
        >>> import steepest
        >>> x = torch.nn.Parameter(torch.tensor([4.0, -4.0]))
        >>> opt = steepest.Optimizer([x], lr=0.5, geometry=Relative(weight_decay=0.0))
        >>> _ = opt.step(lambda: x.sum())  # s = 2
        >>> x.data
        tensor([ 3., -5.])
    """

    weight_decay: float = real("[0, inf)", default=0.01)
    gives = frozenset({"a geometry whose decay fades"})
    cite = ("shazeer2018adafactor",)

    def __call__(self, x: Tensor, u: Tensor, eta: Tensor, h: Scalars) -> Tensor:
        """The map, with one sum over the tensor."""
        size = torch.sqrt(total(x * x) / h.numel)
        decay = h.weight_decay * getattr(h, "fade", 1.0)
        return x - torch.sqrt(torch.clamp(size, min=FLOOR)) * (u + x * (eta * decay))
