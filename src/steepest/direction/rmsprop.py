"""RMSprop: divide a gradient by the root of a fading mean of its squares, or by a fading standard deviation."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.fields import real
from steepest.core.part import Direction, NewState, Scalars, State


class RMSprop(Direction):
    r"""The direction of RMSprop.

    .. math:: v \leftarrow \alpha v + (1-\alpha)\, g^2,\quad d = \frac{g}{\sqrt v + \epsilon}

    Args:
        alpha: α, decay of the second moment, default 0.99 (torch; the lecture has 0.9).
        eps: in units of g, default 1e-8 (torch; the lecture has none).

    Source: Tieleman & Hinton 2012, Neural Networks for Machine Learning, lecture 6.5.

    Note: ε stands outside of the root, as in torch; TensorFlow has it inside.
    """

    alpha: float = real("[0, 1)", default=0.99)
    eps: float = real("[0, inf)", default=1e-8)
    state = {"v": State(signed=False)}
    cite = ("tieleman2012lecture",)
    torch_names = {"v": "square_avg"}

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        v = s.v * h.alpha + g * g * (1 - h.alpha)
        return g / (torch.sqrt(v) + h.eps), {"v": v}


class CenteredRMSprop(RMSprop):
    r"""RMSprop with the variance in the place of the second moment.

    .. math:: v \leftarrow \alpha v + (1-\alpha)\, g^2,\quad a \leftarrow \alpha a + (1-\alpha)\, g,\quad
              d = \frac{g}{\sqrt{v - a^2} + \epsilon}

    Args:
        alpha: α, decay of both moments, default 0.99 (torch; the paper has 0.95).
        eps: in units of g, default 1e-8 (torch).

    Source: Graves 2013, arXiv:1308.0850, equations 38 to 40.

    Note: the paper has ε = 1e-4 inside of the root, torch outside.  v - a² is taken as 0 where rounding makes it negative,
    which in torch is NaN.
    """

    state = {**RMSprop.state, "a": State()}
    cite = ("graves2013generating",)
    torch_names = {**RMSprop.torch_names, "a": "grad_avg"}

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        v = s.v * h.alpha + g * g * (1 - h.alpha)
        a = s.a * h.alpha + g * (1 - h.alpha)
        return g / (torch.sqrt(torch.maximum(v - a * a, v * 0.0)) + h.eps), {"v": v, "a": a}


class CorrectedRMSprop(Direction):
    r"""Adam without a first moment: RMSprop with a bias correction.

    .. math:: v \leftarrow \alpha v + (1-\alpha)\, g^2,\quad d = \frac{g}{\sqrt{v / (1-\alpha^t)} + \epsilon}

    Args:
        alpha: α, Adam's β₂, default 0.999.
        eps: in units of g, default 1e-8.

    Source: Defazio et al. 2024, arXiv:2405.15682, Algorithm 1, where :class:`steepest.point.ScheduleFree` takes the place of
    Adam's momentum.
    """

    alpha: float = real("[0, 1)", default=0.999)
    eps: float = real("[0, inf)", default=1e-8)
    state = {"v": State(signed=False)}
    cite = ("kingma2015adam",)

    def scalars(self, t: int, h: Scalars) -> dict[str, float]:
        """The bias correction c2 = 1/√(1 - αᵗ)."""
        return {"c2": (1 - h.alpha**t) ** -0.5}

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        v = s.v * h.alpha + g * g * (1 - h.alpha)
        return g / (torch.sqrt(v) * h.c2 + h.eps), {"v": v}
