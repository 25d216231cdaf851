"""Records that all files are typed against: what was evaluated so far, and what one step's move is made of.

Nothing of the library is imported here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

from torch import Tensor


@dataclass
class Counters:
    """What has been evaluated so far: forward passes, backward passes, Hessian-vector products, steps, skipped steps.

    Gradients of single rows are ``rows`` in number; n of them together cost, and are counted as, one pass over n rows.
    """

    forwards: int = 0
    backwards: int = 0
    hvps: int = 0
    steps: int = 0
    skipped: int = 0
    rows: int = 0

    @property
    def gradient_equivalents(self) -> int:
        """Cost with a forward as 1, a backward as 2 and a Hessian-vector product as 4; a plain step costs 3.

        >>> Counters(forwards=2, backwards=1).gradient_equivalents
        4
        """
        return self.forwards + 2 * self.backwards + 4 * self.hvps

    def as_dict(self) -> dict[str, int]:
        """Plain numbers, for checkpoints."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass
class Evidence:
    """The result of an evaluation at a point.

    Args:
        loss: the loss, if the closure was called.
        gradient: regenerates the gradient of the parameter with this index, where gradients are not in ``p.grad``.
        moved: the point has made all moves of this step itself.
    """

    loss: Tensor | None = None
    gradient: Callable[[int, Tensor], Tensor] | None = None
    moved: bool = False
