"""Warm restarts: what to keep of a run that anneals again and again."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts

from steepest.schedule.shape import whole


class Snapshots:
    """The weights at the ends of cycles: the solutions that SGDR recommends, and an ensemble of them.

    The schedule itself is torch's ``CosineAnnealingWarmRestarts``, stepped after every batch; its cycles have T₀, T₀ T_mult,
    T₀ T_mult², … steps.

    Args:
        model: whose weights and buffers are kept, on the device where they are.
        schedule: torch's; when it restarts, a cycle has ended.
        keep: how many of the last cycles, default 3.

    Source: Loshchilov & Hutter 2017, arXiv:1608.03983, Section 3 (recommended solutions) and Section 4 (ensembles of
    snapshots, after Huang et al. 2017); in full from memory, the schedule checked against the authors' code.

    Note: torch's schedule and the authors' code agree but for a shift: the code sets the rate after a batch and so takes
    the first batch of a run with the rate it was made with, torch counts from there.

    Example:
        >>> model = nn.Linear(1, 2)
        >>> opt = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> schedule = CosineAnnealingWarmRestarts(opt, T_0=2, T_mult=2)
        >>> snapshots = Snapshots(model, schedule)
        >>> for t in range(1, 7):
        ...     opt.step()
        ...     schedule.step()
        ...     if snapshots.step():
        ...         print(f"cycle {len(snapshots.weights)} ended at step {t}")
        cycle 1 ended at step 2
        cycle 2 ended at step 6
        >>> snapshots.predict(torch.ones(3, 1)).shape
        torch.Size([3, 2])
    """

    def __init__(self, model: nn.Module, schedule: CosineAnnealingWarmRestarts, keep: int = 3) -> None:
        if not isinstance(schedule, CosineAnnealingWarmRestarts):
            raise TypeError("Snapshots needs a schedule with restarts, torch.optim.lr_scheduler."
                            f"CosineAnnealingWarmRestarts, got {type(schedule).__name__}")  # fmt: skip
        self.model, self.schedule, self.keep = model, schedule, whole("Snapshots", "keep", keep, 1)
        self.weights: list[dict[str, Tensor]] = []

    def step(self) -> bool:
        """To be called after ``schedule.step()``; True if a cycle has just ended."""
        ended = self.schedule.T_cur == 0 and self.schedule.last_epoch > 0
        if ended:
            now = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
            self.weights = [*self.weights, now][-self.keep :]
        return ended

    @torch.no_grad()
    def predict(self, *inputs: Any) -> Tensor:
        """The mean of the probabilities (softmax over the last dimension) that the kept models give."""
        if not self.weights:
            raise RuntimeError("no cycle has ended yet: there is no snapshot to predict with")
        each = [torch.func.functional_call(self.model, w, inputs).softmax(-1) for w in self.weights]
        return torch.stack(each).mean(0)

    def state_dict(self) -> dict[str, Any]:
        """The snapshots, for a checkpoint."""
        return {"weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.weights = list(state["weights"])
