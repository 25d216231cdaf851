"""AdaGrad: divide the gradient by the root of the sum of all squared gradients so far."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.fields import real
from steepest.core.part import Direction, NewState, Scalars, State


class AdaGrad(Direction):
    r"""The direction of AdaGrad, diagonal form.

    .. math:: v \leftarrow v + g^2,\quad d = \frac{g}{(1 + (t-1)\,\kappa)\,(\sqrt v + \epsilon)}

    Args:
        eps: in units of g, default 1e-10 (torch).
        lr_decay: κ, a further decay in 1/t, default 0 (paper and torch).
        initial_accumulator_value: v before the first step, default 0 (torch).

    Source: Duchi, Hazan & Singer 2011, JMLR 12, Figure 1 with a diagonal matrix; in full from memory.

    Note: ε stands outside the root, as in torch; the paper's δ stands in the same place.  The sum is kept in full
    precision under every codec: what a step adds to it falls as 1/t, and 8 bits would stop counting after some hundred.

    Example:
        >>> g = torch.tensor([3.0, -4.0])
        >>> h = SimpleNamespace(eps=0.0, start=0.0, shrink=1.0)
        >>> AdaGrad()(g, g, SimpleNamespace(v=torch.tensor([16.0, 9.0])), h)[0]
        tensor([ 0.6000, -0.8000])
    """

    eps: float = real("[0, inf)", default=1e-10)
    lr_decay: float = real("[0, inf)", default=0.0)
    initial_accumulator_value: float = real("[0, inf)", default=0.0)
    state = {"v": State(signed=False, exact=True)}
    cite = ("duchi2011adaptive",)
    torch_names = {"v": "sum"}

    def scalars(self, t: int, h: Scalars) -> dict[str, float]:
        """What v begins with, and the further decay."""
        return {"start": h.initial_accumulator_value if t == 1 else 0.0, "shrink": 1 / (1 + (t - 1) * h.lr_decay)}

    def heading(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> Tensor:
        """The gradient: its divisor is positive."""
        return g

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        v = s.v + h.start + g * g
        return g * h.shrink / (torch.sqrt(v) + h.eps), {"v": v}
