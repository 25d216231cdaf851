"""A learning rate for stochastic model building: longer while plain steps are right, shorter where models are needed."""

from __future__ import annotations

from typing import Any

from steepest.core.optimizer import Optimizer
from steepest.core.part import check_number
from steepest.point import SMB, SMBi
from steepest.schedule.shape import set_lr, whole


class ModelSteps:
    r"""Every so many steps, the learning rate by how many of them were a model's.

    .. math:: \mathrm{lr} \leftarrow 0.9\,\mathrm{lr} \text{ if more than } \gamma \text{ of them were, else }
              \mathrm{lr} \leftarrow \mathrm{lr}/0.9 \text{ unless that is more than the most}

    Call ``step()`` after each step of the optimizer.  All groups change by the same factor.

    Args:
        optimizer: :class:`steepest.SMB`, :class:`steepest.SMBi`, or another with such a point.
        every: steps to look back on, best those of an epoch; default 500 (authors' code).
        share: γ, default 0.05 (authors' code); a model of SMBi takes two steps, so half of it is meant there.
        factor: default 0.9 (authors' code).
        most: where lr does not grow beyond, default 20 (authors' code).

    Raises:
        TypeError: the optimizer builds no models.
        ValueError: numbers out of range.

    Source: the authors' code of stochastic model building (github.com/sibirbil/SMB, ``autoschedule``); the paper (Birbil et
    al. 2021, arXiv:2111.07058) has it as future work.

    Note: in the code each group tries and counts by itself; here all groups are tried together, and so counted.

    Example:
        >>> import torch, steepest
        >>> x = torch.nn.Parameter(torch.tensor([1.0]))
        >>> opt = steepest.SMB([x], lr=0.5)
        >>> schedule = ModelSteps(opt, every=2)
        >>> for _ in range(4):
        ...     _ = opt.step(lambda: (x * x).sum() / 2)
        ...     schedule.step()
        >>> round(opt.param_groups[0]["lr"], 4)  # the plain step was right four times: 0.5 / 0.9²
        0.6173
    """

    def __init__(self, optimizer: Optimizer, every: int = 500, share: float = 0.05, factor: float = 0.9,
                 most: float = 20.0) -> None:  # fmt: skip
        points = [p for p in optimizer.parts() if isinstance(p, SMB)] if isinstance(optimizer, Optimizer) else []
        if not points:
            raise TypeError(f"ModelSteps counts the models of SMB and SMBi, and {type(optimizer).__name__} builds none")
        self.optimizer, self.every = optimizer, whole("ModelSteps", "every", every, 1)
        self.share = check_number("ModelSteps", "share", share, "[0, 1]") / (2 if isinstance(points[0], SMBi) else 1)
        self.factor = check_number("ModelSteps", "factor", factor, "(0, 1)")
        self.most = check_number("ModelSteps", "most", most, "(0, inf)")
        self.steps, self.models = self._seen()

    def _seen(self) -> tuple[int, int]:
        """Steps so far, and those that needed a second gradient."""
        counts = self.optimizer.counters
        return counts.steps, counts.backwards - counts.steps

    def step(self) -> None:
        """After a step of the optimizer: set the learning rates where it is time to."""
        steps, models = self._seen()
        if steps - self.steps < self.every:
            return
        often = models - self.models > self.share * (steps - self.steps)
        for group in self.optimizer.param_groups:
            lr = group["lr"] * self.factor if often else group["lr"] / self.factor
            if often or lr <= self.most:
                set_lr(group, lr)
        self.steps, self.models = steps, models

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint; learning rates and what was counted so far are in the optimizer's."""
        return {"steps": self.steps, "models": self.models}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.steps, self.models = state["steps"], state["models"]
