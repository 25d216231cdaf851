"""The evaluation contract: one closure, asked as often as a method wants.

``loss = opt.step(closure)``, where the closure only computes and returns the loss; the optimizer clears gradients and
calls backward.  A closure in torch's own style, which calls ``zero_grad`` and ``backward`` itself (trainers pass such
ones), is recognised by the gradients it leaves behind; its first answer is added to gradients that are there, as torch
has it.  However many questions a step asks:

* random numbers (dropout) are the same in each of them, and the stream moves on as after one;
* the closure sees the caller's autocast, the weights as they are now, and the step's own arithmetic no autocast at all;
* batch normalisation's running statistics change once, at the first question;
* every forward and every backward is counted.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from steepest.engine import shard

Closure = Callable[[], Any]
Step = TypeVar("Step", bound=Callable[..., Any])


@dataclass
class Counters:
    """What has been bought so far: forward passes, backward passes, Hessian-vector products, steps, skipped steps."""

    forwards: int = 0
    backwards: int = 0
    hvps: int = 0
    steps: int = 0
    skipped: int = 0

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
    """What was bought at a point.

    Args:
        loss: the loss, if the closure was called.
        gradient: regenerates the gradient of the parameter with this index, where gradients are not in ``p.grad``.
        moved: the point has made all moves of this step itself.
    """

    loss: Tensor | float | None = None
    gradient: Callable[[int, Tensor], Tensor] | None = None
    moved: bool = False


class Evaluator:
    """Asks one closure within one step.

    Raises:
        RuntimeError: the method needs a closure and got none.
        TypeError: the closure does not return a scalar.
    """

    def __init__(self, params: list[Tensor], closure: Closure | None, counters: Counters, scaler: Any = None) -> None:
        self.params, self.closure, self.counters, self.scaler = params, closure, counters, scaler
        self.calls_backward: bool | None = None  # not known before the first question
        self.unscale: Callable[[bool], None] = lambda counts: None
        self.added = False  # the first answer was added to older gradients, of which the closure knows nothing
        self._before: list[Any] = []
        self._after: list[Any] = []
        self._norms: dict[nn.Module, list[Tensor]] = {}

    def gradient(self) -> Tensor:
        """The loss, its gradient left in ``p.grad``."""
        if self._before or self.calls_backward is False:
            self._clear()
        before = [(p.grad, _version(p.grad)) for p in self.params]
        with torch.enable_grad(), self._question():
            loss = self._call()
            written = [p.grad is not None and (p.grad is not g or _version(g) != v)
                       for p, (g, v) in zip(self.params, before, strict=True)]  # fmt: skip
            if any(written):
                self.calls_backward = True
                self.added = any(w and p.grad is g for p, w, (g, _) in zip(self.params, written, before, strict=True))
            elif loss.requires_grad:
                self._clear()
                self.calls_backward = False
                (loss if self.scaler is None else self.scaler.scale(loss)).backward()
        self.counters.forwards += 1
        self.counters.backwards += 1
        self.unscale(True)
        return loss.detach()

    def loss(self) -> float:
        """The loss alone, at the price of a forward pass."""
        kept = [p.grad for p in self.params]
        self._clear()  # a closure in torch's style may zero or add to gradients in place
        try:
            if not self.calls_backward or getattr(self.closure, "may_skip_backward", False):
                try:
                    with torch.no_grad(), resharded(self.params), self._question():
                        value = float(self._call())
                    self.counters.forwards += 1
                    return value
                except RuntimeError as error:
                    if "does not require grad" not in str(error):
                        raise
            with torch.enable_grad(), self._question():
                value = float(self._call().detach())
            self.calls_backward = True
            self.counters.forwards += 1
            self.counters.backwards += 1
            self.unscale(False)
            return value
        finally:
            for p, g in zip(self.params, kept, strict=True):
                p.grad = g

    def _clear(self) -> None:
        for p in self.params:
            p.grad = None

    def _call(self) -> Tensor:
        if self.closure is None:
            raise RuntimeError(
                "this method evaluates the loss itself: call step(closure) with a function that computes and returns it"
            )
        loss = self.closure()
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            raise TypeError(f"the closure must return the loss as a scalar tensor, got {loss!r}")
        return loss.reshape(())

    @contextlib.contextmanager
    def _question(self) -> Iterator[None]:
        """Replay random numbers from the second question on; keep norm statistics as the first question left them."""
        first = not self._before
        if first:
            self._before = _random_state()
        elif self.added:
            raise RuntimeError("the closure added to gradients of an earlier call, and this method asks for all of them "
                               "again: let it call opt.zero_grad() and go through all micro-batches of the step")  # fmt: skip
        else:
            _set_random_state(self._before)
        handle = register_module_forward_pre_hook(self._remember)
        answered = False
        try:
            yield
            answered = True
        finally:
            handle.remove()
            if first and answered:
                self._after = _random_state()
            else:  # not the first, or no question at all: leave no trace
                for module, buffers in self._norms.items():
                    for buffer, kept in zip(module.buffers(recurse=False), buffers, strict=True):
                        buffer.copy_(kept)
                _set_random_state(self._before if first else self._after)
                self._before = [] if first else self._before
            self._norms.clear()

    def _remember(self, module: nn.Module, _: Any) -> None:
        if isinstance(module, nn.modules.batchnorm._NormBase) and module.training and module not in self._norms:
            self._norms[module] = [b.clone() for b in module.buffers(recurse=False)]


@contextlib.contextmanager
def resharded(params: list[Tensor]) -> Iterator[None]:
    """FSDP leaves its root gathered after a forward without a backward, and would use those weights again."""
    if not any(map(shard.is_sharded, params)):
        yield
        return
    seen: dict[nn.Module, None] = {}

    def drop(module: nn.Module) -> None:
        reshard = getattr(module, "reshard", None)
        if callable(reshard):
            reshard()

    def meet(module: nn.Module, _: Any) -> None:
        if module not in seen:  # gathered before the weights were changed, perhaps
            seen[module] = None
            drop(module)

    handle = register_module_forward_pre_hook(meet)
    try:
        yield
    finally:
        handle.remove()
        for module in seen:
            drop(module)


@contextlib.contextmanager
def casting(kinds: dict[str, torch.dtype | None]) -> Iterator[None]:
    """Autocast to these types, or to none; copies of the weights as they were are forgotten."""
    torch.clear_autocast_cache()
    with contextlib.ExitStack() as around:
        for kind, dtype in kinds.items():
            around.enter_context(torch.autocast(kind, dtype, enabled=dtype is not None))
        yield


def in_full(step: Step) -> Step:
    """A step without gradients, and without autocast where it was called in one; the closure keeps the latter."""

    @functools.wraps(step)
    def stepping(self: Any, closure: Any = None, **named: Any) -> Any:
        kinds = {k: torch.get_autocast_dtype(k) for k in ("cpu", "cuda") if torch.is_autocast_enabled(k)}
        if not kinds:
            return step(self, closure, **named)
        with casting(dict.fromkeys(kinds)):
            return step(self, casting({**kinds})(closure) if callable(closure) else closure, **named)

    return torch.no_grad()(stepping)  # type: ignore[return-value]


def _version(g: Tensor | None) -> int:
    return -1 if g is None else shard.local(g)._version


def _random_state() -> list[Any]:
    """Where torch's random streams stand, on this machine and on its present GPU."""
    state: list[Any] = [torch.get_rng_state()]
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state.append(torch.cuda.get_rng_state())
    return state


def _set_random_state(state: list[Any]) -> None:
    """Put them back."""
    torch.set_rng_state(state[0])
    if len(state) > 1:
        torch.cuda.set_rng_state(state[1])
