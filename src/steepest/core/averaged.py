"""The weights a method returns: mostly those where it evaluates next, sometimes others (an average, slow weights).

While the model holds them, the weights of training are kept in the optimizer's state, so that whatever is saved, copied or
pickled in the meantime has both.  A checkpoint says which of them the model had.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from steepest.core.composed import Composed
from steepest.core.part import Point
from steepest.core.replay import Scope, resharded
from steepest.engine import shard

#: where a parameter's training weights are kept in its state while the model has other weights
KEPT = "training_weights"


def has_answer(opt: Composed) -> bool:
    """Whether the method returns other weights than those it evaluates at."""
    return type(opt.point).answer is not Point.answer


def _params(opt: Composed) -> list[Tensor]:
    return [p for group in opt.param_groups for p in group["params"]]


@torch.no_grad()
def to_eval(opt: Composed) -> None:
    """Put what the point returns in the place of the weights, which are kept; nothing to do where they are the same."""
    if opt.evaluating or not has_answer(opt):
        return
    params = [p for p in _params(opt) if opt.state.get(p)]
    kept = [p.detach().clone() for p in params]
    _watch(opt)
    opt.evaluating = True
    for p, x in zip(params, kept, strict=True):
        opt.state[p][KEPT] = x
    try:
        for p in params:
            shard.local(p).copy_(shard.local(opt.point.answer(p, opt.state[p])))
    except BaseException:
        to_train(opt)
        raise


@torch.no_grad()
def to_train(opt: Composed) -> None:
    """Put the weights of training back, to the bit."""
    if not opt.evaluating:
        return
    for p in _params(opt):
        if KEPT in opt.state.get(p, ()):
            shard.local(p).copy_(shard.local(opt.state[p].pop(KEPT)))
    opt.evaluating = False
    _watch(opt, False)


def _watch(opt: Composed, watched: bool = True) -> None:
    """FSDP gathers weights anew from the first change to the last."""
    if opt.resharding is not None:
        opt.resharding.close()
    opt.resharding = contextlib.ExitStack() if watched else None
    if opt.resharding is not None and any(map(shard.is_sharded, params := _params(opt))):
        opt.resharding.enter_context(resharded(Scope.of(opt).reached(params)[0]))


@contextlib.contextmanager
def swapped_in(opt: Composed) -> Iterator[None]:
    """``to_eval`` and ``to_train`` around a block; in evaluation mode the weights are there already."""
    if not has_answer(opt):
        raise TypeError(f"{type(opt).__name__} keeps no average of its weights: give it point=steepest.point.Average()")
    refuse_in_block(opt, "averaged()")
    if opt.evaluating:
        yield
        return
    to_eval(opt)
    opt.in_block = True
    try:
        yield
    finally:
        opt.in_block = False
        to_train(opt)


def refuse_in_block(opt: Composed, what: str) -> None:
    """Say so where the weights are not x, and will be again at the end of a block.

    Raises:
        RuntimeError: inside ``with opt.averaged()``.
    """
    if opt.in_block:
        raise RuntimeError(f"inside 'with opt.averaged()' the weights are not those of the run: leave it before {what}")


def refuse(opt: Composed, what: str) -> None:
    """Say so where the weights are not x.

    Raises:
        RuntimeError: inside ``with opt.averaged()``, or after ``opt.eval()``.
    """
    refuse_in_block(opt, what)
    if opt.evaluating:
        raise RuntimeError("since opt.eval() the weights are those that the method returns, not those of the run: call "
                           f"opt.train() before {what}")  # fmt: skip


# ---- checkpoints -------------------------------------------------------------------------------------------------------


def fingerprint(opt: Composed) -> dict[str, Any] | None:
    """Which weights are in the model: their kind, their sum and their norm; None where there is but one kind.

    None also for sharded weights, whose numbers would cost a round of all processes.
    """
    params = [p for p in _params(opt) if p.requires_grad]  # a frozen one may have any type
    if not has_answer(opt) or not any(map(opt.state.get, params)) or any(map(shard.is_sharded, params)):
        return None
    local = [p.detach() if p.is_cuda else p.detach().cpu() for p in params]
    norms = [torch.linalg.vector_norm(x, dtype=torch.float64).item() for x in local]
    return {
        "kind": "averaged" if opt.evaluating else "training",
        "dtypes": sorted({str(p.dtype) for p in params}),
        "sum": math.fsum(x.sum(dtype=torch.float64).item() for x in local),
        "norm": math.hypot(*norms),
    }


def check_kept(entry: Mapping[str, Any], p: Tensor, index: Any) -> None:
    """Look at what a checkpoint that was saved in evaluation mode keeps for p.

    Raises:
        ValueError: it does not fit.
    """
    x = entry.get(KEPT, p)
    if not isinstance(x, Tensor) or x.shape != p.shape or not x.is_floating_point():
        found = f"{tuple(x.shape)} of {x.dtype}" if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"{KEPT!r} of parameter {index} is {found}, the parameter {tuple(p.shape)} of {p.dtype}: the "
                         "checkpoint belongs to another model")  # fmt: skip


def loaded(opt: Composed, saved: Mapping[str, Any]) -> None:
    """After a checkpoint: the mode it was saved in, and which weights the model should have."""
    opt.evaluating = any(KEPT in opt.state.get(p, ()) for p in _params(opt))
    _watch(opt, opt.evaluating)
    found = saved.get("weights")
    opt.expected_weights = found if isinstance(found, Mapping) and has_answer(opt) else None


def ready(opt: Composed) -> None:
    """Before a step: refuse other weights, and warn once if they are not those that the loaded state was saved beside.

    Raises:
        RuntimeError: inside ``with opt.averaged()``, or after ``opt.eval()``.
    """
    refuse(opt, "step()")
    if opt.expected_weights is None:
        return
    expected, opt.expected_weights, now = opt.expected_weights, None, fingerprint(opt)
    if now is None or any(expected.get(n) != now[n] for n in ("kind", "dtypes")):
        return
    size = math.sqrt(sum(p.numel() for p in _params(opt))) * now["norm"]  # at least the sum of magnitudes
    if _near(now["sum"], expected.get("sum"), size) and _near(now["norm"], expected.get("norm"), now["norm"]):
        return
    known = [p for p in _params(opt) if opt.state.get(p)]
    other = all(torch.equal(p, opt.point.answer(p, opt.state[p]).to(p.dtype)) for p in known)
    warnings.warn("the weights are not those that were trained when the optimizer's state was saved"
                  f"{', but the averaged ones, which are for use' if other else ''}: training goes on from them. Save "
                  "model and optimizer at the same moment: both outside 'with opt.averaged()', or both after opt.eval()",
                  stacklevel=5)  # fmt: skip


def _near(a: float, b: object, size: float) -> bool:
    """Equal but for the order of summation."""
    return isinstance(b, float) and (abs(a - b) <= 1e-12 * size or (math.isnan(a) and math.isnan(b)))
