"""What a solver brings back: how it ended, and what happened on the way."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class Result:
    """How a solver ended.

    Args:
        solved: whether it reached what it was asked for.
        reason: why it stopped, in words.
        steps: how many it took.
        history: numbers by name, one a step; which ones, the solver says.
        counts: what was bought, by name.
        x: the solution, where the solver made it.
    """

    solved: bool
    reason: str
    steps: int
    history: dict[str, list[float]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    x: Tensor | None = None

    def __str__(self) -> str:
        last = ", ".join(f"{name} {values[-1]:.4g}" for name, values in self.history.items() if values)
        bought = ", ".join(f"{number} {name}" for name, number in self.counts.items())
        return f"{'solved' if self.solved else 'not solved'} after {self.steps} steps ({self.reason}): {last}; {bought}"
