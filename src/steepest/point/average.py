"""Averaging: walk as before, and return a mean of the points that weighs the late ones more."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, ClassVar

from torch import Tensor

from steepest.core.evaluate import Evidence
from steepest.core.fields import part, whole
from steepest.core.part import Kept, NewState, Point, Scalars, State
from steepest.core.step import Run


class Average(Point):
    r"""The polynomial-decay average of the points, around any other point.

    .. math:: \bar x_t = \Bigl(1 - \frac{1+\gamma}{t+\gamma}\Bigr)\bar x_{t-1} + \frac{1+\gamma}{t+\gamma}\, x_t

    so that :math:`\bar x_1 = x_1`, the start is forgotten, and point k weighs about :math:`k^\gamma`.  Training goes on
    from x and never sees x̄; ``with opt.averaged():`` puts x̄ into the model.  t counts the optimizer's steps since the
    parameter had its first.  It is stored in full precision whatever the codec.

    Args:
        inner: the point that is averaged, default x itself.
        gamma: γ, an integer, default 8 (the authors of DoG); 0 is the plain mean.

    Source: polynomial-decay averaging of Shamir & Zhang 2013, as the authors of DoG (arXiv:2302.12022) write it in their
    averager.

    Note: batch normalisation's running statistics are the model's and not averaged (the authors of DoG average them);
    call ``torch.optim.swa_utils.update_bn`` inside the block.

    Example:
        >>> import torch, steepest
        >>> x = torch.nn.Parameter(torch.tensor([8.0]))
        >>> opt = steepest.SGD([x], lr=0.5, point=Average(gamma=1))
        >>> for _ in range(2):
        ...     _ = opt.step(lambda: (x * x).sum() / 2)
        >>> x.item()  # 8, 4, 2
        2.0
        >>> with opt.averaged():  # 4/3 + 2 * 2/3
        ...     print(round(x.item(), 4))
        2.6667
    """

    around: Point = part(Point, alias="inner", default_factory=Point)
    gamma: int = whole("[0, inf)", default=8)
    state = {"average": State("x", exact=True)}
    keeps: ClassVar[tuple[str, ...]] = ("averaged",)
    cite = ("shamir2013stochastic",)

    def __post_init__(self) -> None:
        self.bends = self.around.bends

    def ask(self, run: Run) -> Evidence:
        """As the point inside does."""
        return self.around.ask(run)

    def after_direction(self, d: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """As the point inside does."""
        return self.around.after_direction(d, x, s, h)

    def pace(self, eta: Tensor, h: Scalars) -> Tensor:
        """As the point inside does."""
        return self.around.pace(eta, h)

    def keep(self, run: Run) -> None:
        """Take in the point that the one inside has kept."""
        self.around.keep(run)
        for group in run.opt.param_groups:
            for p in group["params"]:
                state = run.opt.state.get(p, {})
                if "average" in state:
                    state["averaged"] = t = state.get("averaged", 0) + 1
                    mean = state["average"]
                    mean.lerp_(p.detach().to(mean.dtype), (1 + self.gamma) / (t + self.gamma))

    def kept(self, x: Tensor) -> Mapping[str, Kept]:
        """How many points the average holds."""
        return {"averaged": Kept()}

    def answer(self, p: Tensor, state: dict[str, Any]) -> Tensor:
        """The average."""
        average: Tensor = state["average"]
        return average
