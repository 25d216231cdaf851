"""diffGrad: Adam whose step is shortened where the gradient has hardly changed since the last step."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.part import NewState, Scalars, State
from steepest.direction.adam import Adam


class DiffGrad(Adam):
    r"""The direction of diffGrad: Adam's times a friction between one half and one.

    .. math:: \xi = \frac{1}{1 + e^{-|g_{-} - g|}},\quad
              d = \xi\,\frac{m / (1-\beta_1^t)}{\sqrt{v / (1-\beta_2^t)} + \epsilon}

    elementwise, with m and v as in Adam and the last gradient g₋, 0 at first.  ξ is ½ where the gradient stands still, and
    depends on the gradient's unit.

    Args:
        beta1: decay of the first moment, default 0.9 (paper).
        beta2: decay of the second moment, default 0.999 (paper).
        eps: in units of g, default 1e-8 (paper).
        bias_correction: divide the moments by 1 - βᵗ, default True (paper).

    Source: Dubey et al. 2020, arXiv:1909.11015, equations (8) to (12).

    Note: the authors' code keeps the last gradient by reference; where gradients are written in place, as they are under
    ``zero_grad(set_to_none=False)``, it compares a gradient with itself, so that ξ = ½ everywhere: Adam at half its step.  It
    also adds ε before the correction of v.
    """

    state = {**Adam.state, "g_last": State()}
    cite = ("dubey2020diffgrad",)

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        d, new = super().__call__(g, x, s, h)
        return d / (1 + torch.exp(-torch.abs(s.g_last - g))), new | {"g_last": g}
