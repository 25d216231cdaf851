"""Methods that one bad batch would spoil for good skip it."""

from __future__ import annotations

from typing import Any, Unpack

from steepest.core.optimizer import Optimizer
from steepest.core.options import Free
from steepest.oracle import SkipSpikes

__all__: list[str] = []  # a base for others


class Guarded(Optimizer):
    """An optimizer that leaves out batches with a gradient a hundred times as long as usual.

    A method that finds its own step size accumulates what it has seen, often for ever: one huge gradient in a sum of squares
    makes every later step tiny.  So these methods have :class:`steepest.oracle.SkipSpikes` as their oracle, which their
    papers do not; where no gradient is that long nothing changes, to the bit.  Its factor is 100 and not 10: these methods
    begin with tiny steps, and when the steps have grown, the gradients of a network may grow tenfold within a few of them.

    Args:
        params: parameters or groups.
        lr: as the method has it.
        options: see :class:`steepest.Optimizer`; ``oracle=steepest.oracle.Oracle()`` is the paper's method, unguarded.
    """

    def __init__(self, params: Any, lr: float | None = None, **options: Unpack[Free]) -> None:
        own: Free = {"oracle": SkipSpikes(factor=100.0, listen=1), **options}
        super().__init__(params, lr, **own)
