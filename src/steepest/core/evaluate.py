"""The evaluation contract: one closure, evaluated as often as a method needs.

``loss = opt.step(closure)``, where the closure only computes and returns the loss; the optimizer clears gradients and
calls backward.  A closure in torch's own style, which calls ``zero_grad`` and ``backward`` itself (trainers pass such
ones), is recognised by the gradients it leaves behind; its first gradient is added to those that are there, as torch
has it.  However many evaluations a step makes:

* random numbers are the same in each of them, and the streams move on as after one: torch's, numpy's and Python's, and
  generators that the closure reaches by its variables (see :mod:`steepest.core.replay`);
* the closure sees the caller's autocast, the weights as they are now, and the step's own arithmetic no autocast at all;
* running statistics, and other buffers of the modules that it reaches, change once, at the first evaluation;
* every forward and every backward is counted.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch._compile import _disable_dynamo  # torch.compiler.disable, which would load the compiler at import

from steepest.core.products import explained, marked, pull, refuse_dead_ends, smooth
from steepest.core.records import Counters as Counters
from steepest.core.records import Evidence as Evidence
from steepest.core.replay import Buffers, Scope, Streams, resharded, whole_weights, writes
from steepest.core.rows import Rows
from steepest.engine import shard

SPARSE = "sparse gradients are not supported: make the embedding with sparse=False"

Closure = Callable[[], Any]
Parts = list["Tensor | None"]
Hessian = Callable[[Parts], Parts]
T = TypeVar("T")
Step = TypeVar("Step", bound=Callable[..., Any])
Found = TypeVar("Found")


class Evaluator:
    """Evaluates one closure within one step.

    Raises:
        RuntimeError: the method needs a closure and got none.
        TypeError: the closure does not return a scalar.
    """

    def __init__(self, params: list[Tensor], closure: Closure | None, counters: Counters, scaler: Any = None,
                 scope: Scope | None = None) -> None:  # fmt: skip
        self.params, self.closure, self.counters, self.scaler = params, closure, counters, scaler
        self.scope = scope  # None: a method of one evaluation
        self.calls_backward: bool | None = None  # not known before the first evaluation
        self.hint: bool | None = None  # what it was in an earlier step
        self.unscale: Callable[[bool], None] = lambda counts: None
        self.added = False  # the first gradient was added to older ones, which the closure cannot reproduce
        self._in_place = True  # the closure may write into the gradients that it finds
        self._before: list[Any] = []
        self._after: list[Any] = []
        self._buffers: Buffers | None = None

    @cached_property
    def _reached(self) -> tuple[list[nn.Module], list[Any]]:
        return ([], []) if self.scope is None else self.scope.reached(self.params, self.closure)

    @cached_property
    def _streams(self) -> Streams:
        return Streams(self.params, self._reached[1])

    @property
    def modules(self) -> list[nn.Module]:
        """Those that the closure reaches."""
        return self._reached[0]

    def one_pass(self, compute: Callable[[], Found], rows: int) -> Found:
        """What ``compute`` finds in one pass over so many rows, with gradients of each; ``p.grad`` is cleared."""
        self._clear()
        with torch.enable_grad(), self._evaluation():
            found = compute()
        self.counters.forwards += 1
        self.counters.backwards += 1
        self.counters.rows += rows
        return found

    def gradient(self, of: Closure | None = None) -> Tensor:
        """The loss, its gradient left in ``p.grad``; or that of another function of the same things."""
        first = not self._before
        if not first:
            self._clear()
        before = [(p.grad, writes(p.grad)) for p in self.params]
        with torch.enable_grad(), self._evaluation():
            with self._watched(first) as old:
                loss = self._call(of)
            written = self._written(before)
            if any(written):
                self.calls_backward = True
                same = [w and p.grad is g for p, w, (g, _) in zip(self.params, written, before, strict=True)]
                if first:
                    self._in_place = any(same)
                    self.added = any(s and o for s, o in zip(same, old, strict=True)) if old else any(same)
            elif loss.requires_grad:
                self.calls_backward = False
                self._clear()
                (loss if self.scaler is None else self.scaler.scale(loss)).backward()
            elif self.hint is False:
                self._clear()  # a loss without gradient, by a closure that leaves the clearing to us
            loss = loss.detach().clone()  # the closure may use the same memory each time
        self.counters.forwards += 1
        self.counters.backwards += 1
        self.unscale(True)
        return loss

    def loss(self) -> float:
        """The loss alone, at the price of a forward pass."""
        kept = [p.grad for p in self.params]
        self._clear()  # a closure in torch's style may zero or add to gradients in place
        backward = self.hint if self.calls_backward is None else self.calls_backward
        try:
            if not backward or getattr(self.closure, "may_skip_backward", False):
                try:
                    with torch.no_grad(), resharded(self._reached[0]), self._evaluation():
                        value = float(self._call())
                    self.counters.forwards += 1
                    return value
                except RuntimeError as error:
                    if "does not require grad" not in str(error):
                        raise
            before = [(p.grad, writes(p.grad)) for p in self.params]
            with torch.enable_grad(), self._evaluation():
                value = float(self._call().detach())
            self.calls_backward = any(self._written(before))
            self.counters.forwards += 1
            if self.calls_backward:
                self.counters.backwards += 1
                self.unscale(False)
            return value
        finally:
            for p, g in zip(self.params, kept, strict=True):
                p.grad = g

    def twice(self, use: Callable[[Parts, Hessian], T]) -> tuple[Tensor, T]:
        """The loss, its gradient left in ``p.grad``, and what ``use`` makes of the gradient and of products H v.

        Both are means over all processes.  ``use(g, H)`` gets a tensor a parameter (None where the loss does not depend on
        it; whole tensors, also of sharded parameters), and H(v), which takes and returns the same; each is counted.

        Raises:
            RuntimeError: the closure calls backward itself, or the loss cannot be differentiated twice.
        """
        if self._before or self.calls_backward is False:
            self._clear()
        before = [(p.grad, writes(p.grad)) for p in self.params]
        scale = 1.0 if self.scaler is None else float(self.scaler.get_scale())
        with whole_weights(self._reached[0], self.params) as weights, smooth(), self._evaluation():
            loss = self._call()
            if any(p.grad is not g or writes(p.grad) != v for p, (g, v) in zip(self.params, before, strict=True)):
                raise RuntimeError("second derivatives need the loss before it is backpropagated, and the closure calls "
                                   "backward itself: let it only compute and return the loss")  # fmt: skip
            self.calls_backward = False
            places = [i for i, w in enumerate(weights) if w.requires_grad and loss.requires_grad]
            used = [weights[i] for i in places]
            raised = marked(loss if self.scaler is None else self.scaler.scale(loss))
            with explained():
                found = torch.autograd.grad(raised, used, create_graph=True, allow_unused=True) if used else ()
            if any(gi is not None and gi.is_sparse for gi in found):
                raise RuntimeError(SPARSE)
            refuse_dead_ends(found, loss)
            slope = {i: g for i, g in zip(places, found, strict=True) if g is not None}
            slope = {i: slope.get(i, torch.zeros_like(weights[i])) for i in shard.anywhere([*slope], len(weights))}
            g: Parts = [None] * len(weights)
            for i, mean in zip(slope, shard.averaged([gi.detach() for gi in slope.values()]), strict=True):
                g[i] = mean

            def product(v: Parts) -> Parts:
                along = [(gi, vi) for i, gi in slope.items() if (vi := v[i]) is not None]
                with explained():
                    rows = pull([gi for gi, _ in along], used, [vi for _, vi in along])
                self.counters.hvps += 1
                rows = shard.averaged([row / scale for row in rows])
                whole = dict(zip(places, rows, strict=True))
                return [whole.get(i) if i in slope else None for i in range(len(weights))]

            result = use(g if scale == 1.0 else [None if gi is None else gi / scale for gi in g], product)
        for gi, p in zip(g, self.params, strict=True):
            p.grad = None if gi is None else shard.like(shard.part_of(gi, p).to(p.dtype), p)
        self.counters.forwards += 1
        self.counters.backwards += 1
        self.unscale(True)
        return loss.detach(), result

    def _clear(self) -> None:
        """No gradients; zeros instead of older ones for a closure that writes into them."""
        zeros = self.calls_backward is not False and self._in_place
        for p in self.params:
            p.grad = torch.zeros_like(p.grad) if zeros and p.grad is not None else None

    def _written(self, before: list[tuple[Tensor | None, int]]) -> list[bool]:
        return [p.grad is not None and (p.grad is not g or writes(p.grad) != v)
                for p, (g, v) in zip(self.params, before, strict=True)]  # fmt: skip

    @contextlib.contextmanager
    def _watched(self, first: bool) -> Iterator[list[bool]]:
        """Whether an older gradient is there, and not zero, when the closure's first backward reaches the parameters.

        Without a result (nothing arrived, or sharded parameters, which autograd does not know) the list is empty.
        """
        old: list[bool] = []
        before = [p.grad for p in self.params]

        def look(_: Tensor) -> None:
            if not old:
                old.extend(p.grad is not None and p.grad is g and bool(g.any())
                           for p, g in zip(self.params, before, strict=True))  # fmt: skip

        watched = [p for p, g in zip(self.params, before, strict=True) if g is not None and p.requires_grad]
        watches = first and self.scope is not None and not any(map(shard.is_sharded, watched))
        handles = [p.register_hook(look) for p in watched] if watches else []
        try:
            yield old
        finally:
            for handle in handles:
                handle.remove()

    def _call(self, of: Closure | None = None) -> Tensor:
        if self.closure is None:
            raise RuntimeError(
                "this method evaluates the loss itself: call step(closure) with a function that computes and returns it"
            )
        loss = (of or self.closure)()
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            raise TypeError(f"the closure must return the loss as a scalar tensor, got {loss!r}")
        return loss.reshape(())

    @contextlib.contextmanager
    def _evaluation(self) -> Iterator[None]:
        """Replay random numbers from the second evaluation on; keep buffers as the first one left them."""
        first = not self._before
        if first:
            self._before = self._streams.state()
        elif self.added:
            raise RuntimeError("the closure added to gradients of an earlier call, and this method needs all of them "
                               "again: let it call opt.zero_grad() and go through all micro-batches of the step")  # fmt: skip
        else:
            self._streams.put(self._before)
        # a first evaluation without gradients may be repeated, with them
        if self._buffers is None and self.scope is not None and not (first and torch.is_grad_enabled()):
            self._buffers = Buffers(self._reached[0], self.scope)
        complete = False
        try:
            yield
            complete = True
        finally:
            if first and complete:
                self._after = self._streams.state()
            else:  # not the first, or none at all: leave no trace
                if self._buffers is not None:
                    self._buffers.put()
                self._streams.put(self._before if first else self._after)
                self._before = [] if first else self._before
            if first:
                self._buffers = None


@contextlib.contextmanager
def casting(kinds: dict[str, torch.dtype | None]) -> Iterator[None]:
    """Autocast to these types, or to none; cached copies of the weights as they were are cleared."""
    torch.clear_autocast_cache()
    with contextlib.ExitStack() as around:
        for kind, dtype in kinds.items():
            around.enter_context(torch.autocast(kind, dtype, enabled=dtype is not None))
        yield


def in_full(step: Step) -> Step:
    """A step without gradients, and without autocast where it was called in one; the closure keeps the latter.

    Under ``torch.compile`` it is one break of the graph, as the steps of torch's optimizers with hooks are; models that
    are compiled themselves stay so in the closure.  A ``GradScaler`` that is disabled is none.
    """

    @functools.wraps(step)
    def stepping(self: Any, closure: Any = None, *, scaler: Any = None, **named: Any) -> Any:
        if scaler is not None and scaler.is_enabled():
            named["scaler"] = scaler
        kinds = {k: torch.get_autocast_dtype(k) for k in ("cpu", "cuda") if torch.is_autocast_enabled(k)}
        if not kinds:
            return step(self, closure, **named)
        with casting(dict.fromkeys(kinds)):
            around = casting({**kinds})
            wrapped = (
                closure.wrapped(around)
                if isinstance(closure, Rows)
                else around(closure)
                if callable(closure)
                else closure
            )
            return step(self, wrapped, **named)

    return _disable_dynamo(torch.no_grad()(stepping))  # type: ignore[return-value]
