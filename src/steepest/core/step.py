"""One step as host parts see it: what a point, an oracle or a line search may do to the weights.

Everything here is control flow over whole parameter lists; the maps stay in the kernel.  Weights are moved in place and
put back exactly from a copy, also when the closure raises.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.amp.grad_scaler import OptState

from steepest.core.driver import Driver, count_skip
from steepest.core.evaluate import SPARSE as SPARSE
from steepest.core.evaluate import Closure, Evaluator, Evidence, Hessian, Parts, T
from steepest.core.replay import Scope
from steepest.core.rows import PerRow
from steepest.engine import shard


class Run:
    """One step in progress.

    Args:
        opt: the optimizer whose step this is.
        closure: computes the loss, if the user gave one.
        scaler: a ``GradScaler`` whose scale the losses of this step take, if any.
    """

    def __init__(self, opt: Driver, closure: Closure | None, scaler: Any) -> None:
        self.opt, self.closure, self.scaler = opt, closure, scaler
        self.trial: Callable[[float], float] = no_trial
        self.evidence = Evidence()  # what this step's move is made of
        self.left_out = False  # the whole step is: a scaled gradient overflowed, or the oracle refused the gradient
        self.restarts = False  # the state from before is worthless: restart after this step
        self.draws = 0  # random directions drawn in this step
        self.noted: Any = None  # what a point stores once the step is done
        self.observed: dict[str, Any] = opt.last_step  # what opt.metrics() finds
        self.once: set[Any] = set()  # parts that have done what they do once a step
        self.pending: Any = None  # what an oracle stores once the step is done

    @cached_property
    def params(self) -> list[Tensor]:
        """All parameters, in order."""
        return [p for group in self.opt.param_groups for p in group["params"]]

    @cached_property
    def evaluator(self) -> Evaluator:
        """Evaluates the closure, and counts."""
        scope = Scope.of(self.opt) if self.opt.closure_parts else None
        evaluator = Evaluator(self.params, self.closure, self.opt.counters, self.scaler, scope)
        evaluator.hint = self.opt.closure_calls_backward
        if self.scaler is not None:
            evaluator.unscale = self._unscale
        return evaluator

    @property
    def t(self) -> int:
        """The number of this step, from 1."""
        return int(self.opt.param_groups[0]["t"]) + 1

    def h(self, name: str, group: dict[str, Any] | None = None) -> float:
        """A live hyper-parameter (of the first group, unless another is given)."""
        return self.opt.hyper(group or self.opt.param_groups[0], name)

    def evaluate(self) -> Evidence:
        """Loss and gradient here, by the optimizer's oracle."""
        return self.opt.oracle.evaluate(self)

    def backpropagate(self) -> Evidence:
        """Loss and gradient here, by one forward and one backward; without a closure, what is in ``p.grad``."""
        if self.closure is None:
            self.opt.counters.forwards += 1
            self.opt.counters.backwards += 1
            return Evidence()
        self.opt.zeroed = False
        loss = self.evaluator.gradient()
        self.evaluator.added &= not self.opt.zeroed
        self.opt.closure_calls_backward = self.evaluator.calls_backward
        return Evidence(loss)

    def loss(self) -> float:
        """The loss here, by one forward; the mean over all processes."""
        value = self.evaluator.loss()
        self.opt.closure_calls_backward = self.evaluator.calls_backward
        return shard.mean_over_ranks(value)

    @property
    def rows(self) -> PerRow:
        """Loss and gradient of each row, where the closure knows its rows; for parts that need ``"rows"``."""
        return PerRow(self.opt, self.evaluator, self.params, self.closure)

    @property
    def added(self) -> bool:
        """Whether the closure added its gradient to one that was there, which belongs to the weights as they were."""
        return self.evaluator.added

    def twice(self, use: Callable[[Parts, Hessian], T]) -> tuple[Evidence, T]:
        """Loss and gradient here, and what ``use(g, H)`` makes of the gradient and of products with the Hessian, H(v).

        A tensor a parameter, whole also where the parameter is sharded, and the mean over all processes; None where there
        is no gradient.
        """
        loss, result = self.evaluator.twice(use)
        self.opt.closure_calls_backward = self.evaluator.calls_backward
        return Evidence(loss), result

    def prepared(self, name: str, indices: Iterable[int]) -> dict[int, tuple[Tensor, bool]]:
        """State of this name, which is to be written before the move: its local part, and whether the parameter ascends."""
        owned = [(p, group) for group in self.opt.param_groups for p in group["params"]]
        chosen = {i: owned[i] for i in indices}
        new = [p for p, _ in chosen.values() if name not in self.opt.state.get(p, {})]
        if new:  # the first step, or state was offloaded: the driver must prepare again
            self.opt.clear_cache()
        for p in new:
            self.opt.sorter.init_state(p)
        return {i: (shard.local(self.opt.state[p][name]), bool(group["maximize"])) for i, (p, group) in chosen.items()}

    def _unscale(self, counts: bool) -> None:
        """After each evaluation, by torch itself unless the closure did (to clip); all ranks agree on an overflow."""
        state = self.scaler._per_optimizer_states[id(self.opt)]
        if counts and state["stage"] is OptState.READY:
            self.scaler.unscale_(self.opt)
        found = state["found_inf_per_device"].values()
        if counts and shard.mean_over_ranks(float(any(map(float, found)))) > 0:
            self.left_out = True
        for inf in found:
            inf.fill_(float(self.left_out))  # so that update() lowers the scale, whichever evaluation overflowed
        state["stage"] = OptState.READY  # torch unscales once a step, but there may be more evaluations

    def grads(self, evidence: Evidence) -> list[Tensor | None]:
        """Local gradients, parameter by parameter; a group that maximizes has them negated."""
        owned = [(p, -1.0 if group["maximize"] else 1.0) for group in self.opt.param_groups for p in group["params"]]
        if evidence.gradient is not None:
            return [sign * evidence.gradient(i, p) for i, (p, sign) in enumerate(owned)]
        if any(p.grad is not None and p.grad.is_sparse for p, _ in owned):
            raise RuntimeError(SPARSE)
        return [None if p.grad is None else shard.local(p.grad) * sign for p, sign in owned]

    def state(self, p: Tensor) -> dict[str, Any]:
        """What the optimizer keeps for p."""
        state: dict[str, Any] = self.opt.state[p]
        return state

    def save(self) -> list[Tensor]:
        """A copy of the weights (local shards); frozen ones are not copied, and stand for themselves."""
        return [shard.local(p).clone() if moves(p) else shard.local(p) for p in self.params]

    def restore(self, saved: Iterable[Tensor]) -> None:
        """Put the weights back, to the bit."""
        for p, x in zip(self.params, saved, strict=True):
            if x.data_ptr() != (here := shard.local(p)).data_ptr():
                here.copy_(x)

    def shift(self, by: Iterable[Tensor | None]) -> None:
        """Add to the weights in place."""
        for p, d in zip(self.params, by, strict=True):
            if d is not None:
                shard.local(p).add_(d.to(p.dtype))

    def dot(self, a: Iterable[Tensor | None], b: Iterable[Tensor | None]) -> float:
        """The inner product of two lists of local tensors over all parameters and shards, in float64."""
        a, b, rows, owners = list(a), list(b), [], []
        for p, u, v in zip(self.params, a, b, strict=True):
            if u is not None and v is not None:
                rows.append((u.double() * v.double()).sum() if u.dtype is torch.float64 else _dot32(u, v))
                owners.append(p)
        found = shard.summed(rows, owners)
        if 1e-30 < abs(found) < math.inf:
            return found
        pairs = [(u, v) for u, v in zip(a, b, strict=True) if u is not None and v is not None]  # squares left float32
        return shard.summed([(u.double() * v.double()).sum() for u, v in pairs], owners)

    def move(self, evidence: Evidence) -> bool:
        """One whole move with this evidence: direction, step size, geometry, new state; False if it was left out."""
        return not self.left_out and self.opt.make_move(self, evidence)

    def acceptable(self, evidence: Evidence) -> bool:
        """Whether a step may go on with this evidence, or should be left out as a whole."""
        return not self.left_out and self.opt.acceptable(evidence)

    def spoiled(self, what: str) -> None:
        """Something besides the gradient is not finite: raise, leave out the whole step, or only count it, as configured.

        Raises:
            RuntimeError: under ``nonfinite="raise"``.
        """
        if self.opt.nonfinite == "raise":
            raise RuntimeError(f"{what} is NaN or infinite; nothing was changed. Lower lr, or pass nonfinite='guard' to "
                               "keep the last good one")  # fmt: skip
        self.left_out |= self.opt.nonfinite == "skip"
        if self.opt.nonfinite != "propagate":
            count_skip(self.opt, "step skipped" if self.left_out else f"{what} was not taken")

    def snapshot(self) -> Callable[[], None]:
        """Copy weights, state and counts; the function returned restores them, to the bit."""
        x, opt, params = self.save(), self.opt, [*filter(moves, self.params)]
        state = {p: {k: v.clone() if isinstance(v, Tensor) else v for k, v in opt.state[p].items()}
                 for p in params if p in opt.state}  # fmt: skip
        shared = [{n: group[n] for n in ("t", *opt.step_size.memory) if n in group} for group in opt.param_groups]

        def undo() -> None:
            self.restore(x)
            for p in params:
                if p in state:
                    opt.state[p] = state[p]
                else:
                    opt.state.pop(p, None)
            for group, numbers in zip(opt.param_groups, shared, strict=True):
                group.update(numbers)
            opt.clear_cache()

        return undo


def no_trial(_: float) -> float:
    """What ``run.trial`` is outside a line search."""
    raise RuntimeError("trial moves exist only inside a line search")


def moves(p: Tensor) -> bool:
    """Whether a step may change p: it can have a gradient, or was given one by hand; others are frozen."""
    return p.requires_grad or p.grad is not None


def _dot32(u: Tensor, v: Tensor) -> Tensor:
    """A dot product in float32 pieces, added up in float64."""
    flat_u, flat_v = u.reshape(-1).float(), v.reshape(-1).float()
    pieces = zip(flat_u.split(1 << 16), flat_v.split(1 << 16), strict=True)
    return torch.stack([a @ b for a, b in pieces]).double().sum()
