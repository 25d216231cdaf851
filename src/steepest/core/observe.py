"""What is seen of a step from outside: the learning rates it begins with, and numbers about what it did.

Nothing is worked out until ``opt.metrics()`` is called: a step leaves behind the sums and scalars that it had anyway.  Only
the lengths of weights and steps are no by-product, and must be switched on.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import torch
from torch import Tensor

from steepest.core.composed import Composed
from steepest.core.part import StepSize
from steepest.core.rate import IS_THE_STEP, MULTIPLIES, Course
from steepest.engine import shard

Step = TypeVar("Step", bound=Callable[..., Any])

#: what the sums of step sizes are called: the root is taken of squares
SQUARES = {"dd": "direction_norm", "gg": "gradient_norm", "now": "gradient_norm"}
SLOPE = "gd"
#: steps in which a 16-bit weight must have moved once
STILL = 100


def observed(step: Step) -> Step:
    """A step whose learning rates are looked at, and whose loss and lengths are kept for ``opt.metrics()``."""

    @functools.wraps(step)
    def stepping(self: Any, closure: Any = None, **named: Any) -> Any:
        if self.step_size.reads_lr == MULTIPLIES:
            if self.course is None:
                self.course = Course(resumed=any(group["t"] for group in self.param_groups))
            self.course.look(self)
        before = copied(self) if self.track_norms else None
        loss = step(self, closure, **named)
        observed = self.last_step
        if loss is not None:
            observed["loss"] = loss
        if before is not None:
            observed["norms"] = lengths(before)
        return loss

    return stepping  # type: ignore[return-value]


def copied(opt: Composed) -> list[tuple[Tensor, Tensor]]:
    """Every trained parameter with a copy of its local part."""
    params = (p for group in opt.param_groups for p in group["params"])
    return [(p, shard.local(p).clone()) for p in params if p.requires_grad]


def lengths(before: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """Of all weights before the step, of the step, and of the gradient there is; over all shards."""

    def norm(pairs: Iterable[tuple[Tensor, Tensor]]) -> float:
        owners, squares = [], []
        for p, value in pairs:
            owners.append(p)
            squares.append(torch.linalg.vector_norm(value, dtype=torch.float64).square())
        return math.sqrt(shard.summed(squares, owners))

    weights, moved = norm(before), norm((p, shard.local(p) - x) for p, x in before)
    found = {"weight_norm": weights, "step_norm": moved, "update_to_weight": moved / weights if weights else math.nan}
    grads = [(p, shard.local(p.grad)) for p, _ in before if p.grad is not None and not p.grad.is_sparse]
    return found | ({"gradient_norm": norm(grads)} if grads else {})


def named(name: str, values: list[float]) -> dict[str, float]:
    """One number under its name where all are equal, else ``name``, ``name/1``, … for the groups."""
    values = values[:1] if len(set(values)) == 1 else values
    return {f"{name}/{i}" if i else name: value for i, value in enumerate(values)}


def ends(name: str, values: list[float]) -> dict[str, float]:
    """The smallest and the largest, where each tensor has its own."""
    return {f"{name}/min": min(values), f"{name}/max": max(values)} if values else {}


def rates(opt: Composed) -> dict[str, float]:
    """What multiplied the direction in the last step: the learning rate times the step size that was found."""
    groups, observed = opt.param_groups, opt.last_step
    if "move" not in observed:
        return named("lr", [float(g["lr"]) for g in groups]) if opt.step_size.reads_lr == IS_THE_STEP else {}
    shares, scalars = observed["move"]
    etas = [(one.eta, one.h.lr) for one in shares if one.eta is not None]
    if opt.step_size.per == "tensor":
        return ends("lr", [eta * lr for eta, lr in etas])
    if opt.step_size.per == "all" and etas:
        return named("lr", [etas[0][0] * h["lr"] for h in scalars])
    return named("lr", [h["eta"] for h in scalars])


def measured(opt: Composed) -> dict[str, float]:
    """What the step size keeps in mind, and the sums of its last step."""
    groups, found = opt.param_groups, dict[str, float]()
    for name in opt.step_size.memory:
        if opt.step_size.per == "tensor":
            found |= ends(name, [float(entry[name]) for entry in opt.state.values() if name in entry])
        else:
            found |= named(name, [float(g[name]) for g in (groups if opt.step_size.per == "group" else groups[:1])])
    shares = opt.last_step.get("move", ((), ()))[0]
    for name in {name: None for one in shares for name in one.sums}:
        total = sum(one.sums.get(name, 0.0) for one in shares)
        if name in SQUARES:
            found[SQUARES[name]] = math.sqrt(total) if total >= 0 else math.nan
        elif name == SLOPE:
            found["slope"] = total
    return found


def metrics(opt: Composed) -> dict[str, float]:
    """All of it; see ``Optimizer.metrics``."""
    observed = opt.last_step
    rest = {"loss": float(observed["loss"])} if "loss" in observed else {}
    low, high = observed.get("rise", (None, None))
    if low is not None and high is not None:
        rest["sharpness"] = float(high) - float(low)
    for name in (name for part in opt.parts() for name in part.counts):
        rest[name] = sum(float(entry[name].sum()) for entry in opt.state.values() if name in entry)
    counts = {**opt.counters.as_dict(), "gradient_equivalents": opt.counters.gradient_equivalents}
    found = {**rates(opt), **rest, **measured(opt), **observed.get("norms", {}), **counts}
    return {name: float(value) for name, value in found.items()}


def look_for_motion(opt: Composed) -> None:
    """After some steps, warn if 16-bit weights have not moved by steps that a step size has found by itself."""
    if opt.counters.steps not in (1, STILL) or type(opt.step_size) is StepSize:
        return
    short = [p for group in opt.param_groups if group["lr"] > 0 for p in group["params"] if p.element_size() == 2]
    bits = [int(shard.local(p).detach().contiguous().view(torch.int16).sum()) for p in short]
    wanted = any(p.grad is not None and bool(shard.local(p.grad).any()) for p in short)
    if opt.counters.steps == 1:
        opt.weight_bits = bits
        return
    before, opt.weight_bits = opt.weight_bits, None
    if wanted and bits == before:
        longer = " or ".join(f"a larger {n}" for n in ("reps_rel", "d0") if n in opt.defaults)
        warnings.warn(f"{type(opt).__name__} has not moved a 16-bit weight in {STILL} steps: its steps are below "
                      f"the spacing of {short[0].dtype}. Keep the weights in float32 and compute in 16 bits under "
                      f"autocast{', or begin with ' + longer if longer else ''}", stacklevel=5)  # fmt: skip
