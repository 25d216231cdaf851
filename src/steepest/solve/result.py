"""What a solver brings back: how it ended, and what happened on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Status(Enum):
    """How a run ended; the value says it in words."""

    SOLVED = "the goal is reached"
    BUDGET = "steps, evaluations or seconds are used up"
    STALLED = "no step makes progress"
    INFEASIBLE = "no point satisfies the constraints"
    UNBOUNDED = "the objective falls without bound"
    NONFINITE = "a number is not finite"
    STOPPED = "the callback stopped it"


@dataclass
class Result:
    """How a solver ended.

    Args:
        success: whether it reached its target.
        message: why it stopped, in words.
        steps: how many were taken, those before a resumed state included.
        history: numbers by name, one for each measurement; which ones, the solver says.
        counts: evaluations by name, those before a resumed state included.
        x: the solution in the form of x0, where the solver made it.
        status: how it ended.
        state: what :func:`steepest.solve.solve` goes on from; plain tensors and numbers, for ``torch.save``.
        measured: evaluations that only the measurements cost, apart from ``counts``.
        at: the step of each measurement.
    """

    success: bool
    message: str
    steps: int
    history: dict[str, list[float]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    x: Any = None
    status: Status | None = None
    state: dict[str, Any] = field(default_factory=dict, repr=False)
    measured: dict[str, int] = field(default_factory=dict)
    at: list[int] = field(default_factory=list, repr=False)

    @property
    def solved(self) -> bool:
        """The same as ``success``."""
        return self.success

    @property
    def reason(self) -> str:
        """The same as ``message``."""
        return self.message

    def __str__(self) -> str:
        last = ", ".join(f"{name} {values[-1]:.4g}" for name, values in self.history.items() if values)
        used = ", ".join(f"{number} {name}" for name, number in self.counts.items())
        return f"{'solved' if self.success else 'not solved'} after {self.steps} steps ({self.message}): {last}; {used}"

    def plot(self) -> Any:
        """A matplotlib figure of the history, one curve for each number, by step; needs matplotlib."""
        from matplotlib.figure import Figure

        figure = Figure(layout="constrained")
        axes = figure.subplots()
        for name, values in self.history.items():
            axes.plot(self.at or range(len(values)), values, label=name)
        if self.history and all(v > 0 for values in self.history.values() for v in values):
            axes.set_yscale("log")
        axes.set_xlabel("step")
        axes.legend()
        return figure
