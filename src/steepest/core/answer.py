"""The weights a method returns: mostly those where it asks next, sometimes others (an average, slow weights)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from steepest.core.evaluate import resharded
from steepest.core.part import Point
from steepest.core.run import Run
from steepest.engine import shard

if TYPE_CHECKING:
    from steepest.core.assembly import Assembly
    from steepest.core.optimizer import Optimizer


@contextlib.contextmanager
def lent(opt: Optimizer) -> Iterator[None]:
    """Put what the point answers in the place of the weights, and the weights back, to the bit."""
    if type(opt.point).answer is Point.answer:
        raise TypeError(f"{type(opt).__name__} keeps no average of its weights: give it point=steepest.point.Average()")
    refuse(opt, "averaged()")
    run = Run(opt, None, None)
    x = run.save()
    with resharded(run.params):
        opt._lent = True
        try:
            with torch.no_grad():
                for p in run.params:
                    if p in opt.state:
                        shard.local(p).copy_(shard.local(opt.point.answer(p, opt.state[p])))
            yield
        finally:
            opt._lent = False
            with torch.no_grad():
                run.restore(x)


def refuse(opt: Assembly, what: str) -> None:
    """Say so where the weights are not x.

    Raises:
        RuntimeError: inside ``with opt.averaged()``.
    """
    if opt._lent:
        raise RuntimeError(f"inside 'with opt.averaged()' the weights are not those of the run: leave it before {what}")
