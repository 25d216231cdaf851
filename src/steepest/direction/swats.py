"""SWATS: Adam first and SGD with momentum afterwards; when, says a step size that compares the two."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.part import NewState, Scalars, State
from steepest.direction.adam import Adam


class SwitchedAdam(Adam):
    r"""Adam's direction, and after the switch that of a momentum that begins at 0.

    .. math:: d = \begin{cases} \dfrac{m / (1-\beta_1^t)}{\sqrt{v / (1-\beta_2^t)} + \epsilon} & \text{before}\\
                                u \leftarrow \beta_1 u + g & \text{after the switch of } \texttt{stepsize.SWATS}\end{cases}

    Args:
        beta1: decay of both momenta, default 0.9 (paper).
        beta2: decay of the second moment, default 0.999 (paper).
        eps: in units of g, default 1e-8.
        bias_correction: default True (paper).

    Source: Keskar & Socher 2017, arXiv:1712.07628, Algorithm 1.

    Note: Adam's moments are kept up to date after the switch, for nothing.
    """

    state = {**Adam.state, "u": State()}
    needs = frozenset({"switch to SGD"})
    gives = frozenset()
    cite = ("keskar2017improving",)

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        d, new = super().__call__(g, x, s, h)
        u = (s.u * h.beta1 + g) * h.in_sgd
        return torch.where(h.in_sgd + g * 0.0 > 0, u, d), new | {"u": u}
