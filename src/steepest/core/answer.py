"""The weights a method returns: mostly those where it asks next, sometimes others (an average, slow weights)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from steepest.core.part import Point
from steepest.core.replay import Scope, resharded
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
    kept = [p for p in run.params if p in opt.state]
    x = [shard.local(p).clone() for p in kept]
    modules = Scope.of(opt).reached(run.params)[0] if any(map(shard.is_sharded, run.params)) else []
    with resharded(modules):
        opt._lent = True
        try:
            with torch.no_grad():
                for p in kept:
                    shard.local(p).copy_(shard.local(opt.point.answer(p, opt.state[p])))
            yield
        finally:
            opt._lent = False
            with torch.no_grad():
                for p, before in zip(kept, x, strict=True):
                    shard.local(p).copy_(before)


def refuse(opt: Assembly, what: str) -> None:
    """Say so where the weights are not x.

    Raises:
        RuntimeError: inside ``with opt.averaged()``.
    """
    if opt._lent:
        raise RuntimeError(f"inside 'with opt.averaged()' the weights are not those of the run: leave it before {what}")
