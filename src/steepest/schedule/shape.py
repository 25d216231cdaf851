"""A schedule is a shape: a factor for each step that multiplies the learning rate the optimizer was made with.

Alone, the learning rate at step t is the initial one times the factor, to the bit, so a long run gathers no rounding.
If something else changes it too (another schedule, a hand), the change is kept and the shape goes on on top of it.
"""

from __future__ import annotations

import json
import numbers
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim.lr_scheduler import LRScheduler


def whole(owner: str, name: str, value: object, low: int, high: int | None = None) -> int:
    """Return ``value`` as an int, or say what was wrong with it.

    Raises:
        TypeError: not an integer.
        ValueError: outside [low, high].
    """
    bounds = f"from {low} to {high}" if high is not None else f"of at least {low}"
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{owner}: {name} must be a whole number {bounds}, got {value!r}")
    number = int(value)
    if number < low or (high is not None and number > high):
        raise ValueError(f"{owner}: {name} must be a whole number {bounds}, got {value!r}")
    return number


def set_lr(group: dict[str, Any], lr: Any) -> None:
    """Write a group's learning rate: a tensor is filled, since compiled steps hold on to it."""
    if isinstance(group["lr"], torch.Tensor):
        group["lr"].fill_(lr)
    else:
        group["lr"] = lr


class Shape(LRScheduler):
    """Initial learning rate times ``factor(t)``, where t counts the steps that are done.

    Groups have learning rates of their own and share the factor; a group that is added later joins in with the learning
    rate it comes with.  Works under ``SequentialLR`` and ``ChainedScheduler``.

    Args:
        optimizer: any torch optimizer.
        steps: length; afterwards the factor is 0, and a warning is given once.
        last_epoch: as for torch's schedulers.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, steps: int, last_epoch: int = -1) -> None:
        self.steps = whole(type(self).__name__, "steps", steps, 1)
        self._warned = False
        super().__init__(optimizer, last_epoch)

    def factor(self, t: int) -> float:
        """What multiplies the learning rate of the step after t steps."""
        raise NotImplementedError

    def _adopt(self) -> None:
        for group in self.optimizer.param_groups[len(self.base_lrs) :]:
            lr = group.setdefault("initial_lr", group["lr"])
            self.base_lrs.append(lr.clone() if isinstance(lr, torch.Tensor) else lr)
            group["lr"] = lr * self.factor(self.last_epoch - 1)  # where it would be, had it been here from the start

    def get_lr(self) -> list[Any]:
        """Learning rates of the groups for the next step."""
        self._adopt()
        t = self.last_epoch
        if t > self.steps and not self._warned:
            self._warned = True
            warnings.warn(f"{type(self).__name__} ended after {self.steps} steps: lr is 0 and weights no longer move; "
                          "make the schedule as long as the run (warned once)", stacklevel=4)  # fmt: skip
        before, now = self.factor(t - 1) if t > 0 else 1.0, self.factor(t)
        answer = []
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            ended = t == 0 and bool(group["lr"] == 0)  # by the schedule of an earlier phase
            alone = ended or before == 0 or bool(group["lr"] == base * before)
            answer.append(base * now if alone else group["lr"] * (now / before))
        return answer

    def _get_closed_form_lr(self) -> list[Any]:
        """For ``SequentialLR``, which starts its parts at their first step."""
        return [base * self.factor(self.last_epoch) for base in self.base_lrs]


class LinearDecay(Shape):
    r"""Linear decay to zero, the best schedule in the worst case for the last iterate of SGD.

    .. math:: \eta_t = \eta\,\Bigl(1 - \frac{t}{T}\Bigr),\quad t = 0, \dots, T-1

    Args:
        optimizer: any torch optimizer.
        steps: T, warm-up included.
        warmup: so many first steps rise linearly to η, default 0 (the theory has none; practice takes 1 to 10 %).
        last_epoch: as for torch's schedulers.

    Source: Defazio, Cutkosky, Mehta & Mishchenko 2023, arXiv:2310.07831, abstract ("step-size proportional to 1 − t/T");
    the warm-up (t + 1)/warmup is the one of the authors' figures (adaptive_scheduling, visual.py).

    Note: torch's ``LinearLR(opt, 1, 0, T)`` has the same values without warm-up, up to the rounding it gathers.

    Example:
        >>> opt = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.8)
        >>> schedule = LinearDecay(opt, steps=6, warmup=2)
        >>> [round(0.8 * schedule.factor(t), 3) for t in range(7)]
        [0.4, 0.8, 0.8, 0.6, 0.4, 0.2, 0.0]
    """

    def __init__(self, optimizer: torch.optim.Optimizer, steps: int, warmup: int = 0, last_epoch: int = -1) -> None:
        steps = whole("LinearDecay", "steps", steps, 1)
        self.warmup = whole("LinearDecay", "warmup", warmup, 0, steps - 1)
        super().__init__(optimizer, steps, last_epoch)

    def factor(self, t: int) -> float:
        """Up during the warm-up, then down to 0."""
        if t < self.warmup:
            return (t + 1) / self.warmup
        return max(0.0, (self.steps - t) / (self.steps - self.warmup))


class Table(Shape):
    """A schedule given as a list of factors, one a step.

    Args:
        optimizer: any torch optimizer.
        factors: not negative; the first multiplies the first step's learning rate.
        steps: stretch or shrink the list to so many steps (linear interpolation); default: as long as it is.
        last_epoch: as for torch's schedulers.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, factors: Sequence[float], steps: int | None = None,
                 last_epoch: int = -1) -> None:  # fmt: skip
        self.factors = stretched(type(self).__name__, factors, steps)
        super().__init__(optimizer, len(self.factors), last_epoch)

    def factor(self, t: int) -> float:
        """The t-th of the list, 0 after its end."""
        return self.factors[t] if t < self.steps else 0.0

    @classmethod
    def load(cls, optimizer: torch.optim.Optimizer, path: str | os.PathLike[str], steps: int | None = None) -> Table:
        """A schedule from a file that ``steepest refine RUN.jsonl --out FILE`` wrote.

        Raises:
            ValueError: the file holds something else.
        """
        text = Path(path).read_text(encoding="utf-8")
        try:
            kept = json.loads(text)
        except json.JSONDecodeError:
            kept = None
        if not isinstance(kept, dict) or kept.get("steepest") != "schedule" or "factors" not in kept:
            raise ValueError(
                f"{os.fspath(path)!r} is no schedule: make one with `steepest refine RUN.jsonl --out FILE`"
            )
        return Table(optimizer, kept["factors"], steps)


def stretched(owner: str, factors: Sequence[float], steps: int | None) -> list[float]:
    """Factors, checked and brought to a length.

    >>> stretched("Table", [0.0, 1.0, 0.0], 5)
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    values = np.asarray(factors, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0 or not np.isfinite(values).all() or values.min() < 0:
        raise ValueError(
            f"{owner}: factors must be a list of finite numbers that are not negative, got {factors!r:.80}"
        )
    if steps is not None:
        where = np.linspace(0, len(values) - 1, whole(owner, "steps", steps, 1))
        values = np.interp(where, np.arange(len(values)), values)
    return [float(v) for v in values]
