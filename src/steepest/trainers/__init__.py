"""Adapters for other training loops, for methods that evaluate the loss more than once a step.

Lightning and Accelerate pass closures on; Hugging Face's ``Trainer`` goes forward and backward itself and then calls
``optimizer.step()`` with none.  What it has computed is the first result of a closure, and it has everything that further
evaluations need.  So ``WithClosure`` keeps the micro-batches of a step and where the random streams stood before each,
returns the first result as it is, and repeats the Trainer's own ``training_step`` for any further evaluation.

Nothing is imported from transformers: the class stands in front of a ``Trainer`` and calls what is behind it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from steepest.core.part import Oracle
from steepest.core.replay import Buffers, Scope, Streams
from steepest.engine import shard

__all__ = ["AsksAgain", "WithClosure"]


@dataclass
class MicroBatch:
    """One micro-batch: what ``training_step`` was called with, the random streams before, and the loss."""

    model: nn.Module
    given: tuple[Any, ...]
    named: dict[str, Any]
    random: Callable[[], None]  # puts the streams back
    loss: Tensor


class WithClosure:
    """In front of ``transformers.Trainer``: its optimizer may evaluate the loss of a step as often as it needs.

    Sharpness-aware methods, line searches, Polyak's step, extragradient and zeroth order then train under a ``Trainer`` as
    they do in a plain loop::

        class Trainer(steepest.trainers.WithClosure, transformers.Trainer):
            pass


        Trainer(model, args, train_dataset=data, optimizers=(steepest.SAM(model.parameters(), lr=0.1), None)).train()

    Gradient accumulation, ``num_items_in_batch``, label smoothing, autocast, a ``GradScaler``, DDP and FSDP2 are the
    Trainer's own, in each evaluation alike.  Dropout is replayed, BatchNorm's statistics change once.  The loss and the norm
    that are logged belong to the first evaluation, and a trial of a line search is a forward without a backward.

    ``max_grad_norm`` (1.0 unless set) clips the gradient of each evaluation.  Of SAM's two, only the second is descended;
    clipping the first changes its length, which does not matter.  A step size that looks at the loss takes the slope from
    the gradient, and a clipped one would make Polyak's step longer instead of shorter, so there it must be 0.

    Raises:
        ValueError: ``max_grad_norm`` together with such a step size.
        RuntimeError: under DeepSpeed, which steps by itself.

    Note: methods without a backward (MeZO) pay one forward more a step, for the loss that the Trainer logs.  Seen with
    transformers 5.24 and accelerate 1.15.
    """

    accelerator: Any
    args: Any
    optimizer: Any
    _batches: list[MicroBatch]
    _steps: Any = None  # the optimizer whose ``step`` passes a closure on

    def train(self, *given: Any, **named: Any) -> Any:
        """As the Trainer's; nothing is left of an earlier, interrupted run."""
        self._steps = None
        return super().train(*given, **named)  # type: ignore[misc]

    def training_step(self, model: nn.Module, *given: Any, **named: Any) -> Tensor:
        """As the Trainer's, and recorded."""
        if self._steps is not self.optimizer:
            self._prepare()
        random = self._random()
        try:
            with self._silent() if self._forward_only() else contextlib.nullcontext():
                loss: Tensor = super().training_step(model, *given, **named)  # type: ignore[misc]
        except BaseException:  # out of memory, say: the Trainer may begin anew with smaller batches
            self._batches = []
            raise
        self._batches.append(MicroBatch(model, given, named, random, loss))
        return loss

    def _prepare(self) -> None:
        """Make ``optimizer.step()`` pass a closure on."""
        if getattr(self, "is_deepspeed_enabled", False):
            raise RuntimeError("DeepSpeed steps by itself and passes no closure on: use DDP or FSDP")
        if getattr(getattr(self._own(), "step_size", None), "uses_loss", False) and self.args.max_grad_norm:
            raise ValueError(f"{self._own().step_size!r} takes the slope of the loss from the gradient, which max_grad_norm="
                             f"{self.args.max_grad_norm:g} would clip: set max_grad_norm=0")  # fmt: skip
        self._batches, self._steps, step = [], self.optimizer, self.optimizer.step

        def with_closure(*_: Any) -> None:
            try:
                self._step(step, self._closure())
            finally:
                self._batches = []

        self.optimizer.step = MethodType(with_closure, self.optimizer)  # schedulers go around bound methods only

    def _own(self) -> Any:
        """The optimizer inside accelerate's."""
        return getattr(self.optimizer, "optimizer", self.optimizer)

    def _random(self) -> Callable[[], None]:
        """Puts the random streams back to where they stand now."""
        streams = Streams(p for group in self.optimizer.param_groups for p in group["params"])
        return partial(streams.put, streams.state())

    def _forward_only(self) -> bool:
        oracle = getattr(self._own(), "oracle", None)
        return isinstance(oracle, Oracle) and type([*oracle.walk()][-1]) is not Oracle

    def _step(self, step: Callable[..., Any], closure: Callable[[], Tensor]) -> None:
        """One step; with a scaler the optimizer unscales each gradient, and the scale falls if one of them overflowed."""
        scaler = self.accelerator.scaler
        if scaler is None or self._forward_only():
            step(closure)
            return
        scale = scaler.get_scale()
        self._own().step(closure, scaler=scaler)
        scaler.update()
        self.optimizer._is_overflow = scaler.get_scale() < scale  # accelerate's name for it: schedulers skip the step

    def _closure(self) -> Callable[[], Tensor]:
        """The loss of this step with its gradient, or without where gradients are off; the first is cached."""
        params = [p for group in self.optimizer.param_groups for p in group["params"]]
        known: list[Any] = [(p, p.grad, _version(p)) for p in params]
        total = _summed([batch.loss for batch in self._batches])

        def closure() -> Tensor:
            here = torch.is_grad_enabled() and known and all(_version(p) == version for p, _, version in known)
            if not here:
                return self._reevaluate()
            for p, g, _ in known:
                p.grad = g
            known.clear()
            return total

        closure.may_skip_backward = True  # type: ignore[attr-defined]
        return closure

    def _reevaluate(self) -> Tensor:
        """All micro-batches once more, clipped as the Trainer clips; random streams and statistics as they were."""
        model, losses = self._batches[0].model, list[Tensor]()
        with contextlib.ExitStack() as around:
            around.callback(self._random())
            around.callback(Buffers(model.modules(), Scope.of(self._own())).put)  # the first evaluation has moved them
            if torch.is_grad_enabled():
                self._own().zero_grad()  # the first evaluation's gradient may be there
            else:
                around.enter_context(self._silent())
            for batch in self._batches:
                batch.random()
                with contextlib.nullcontext() if batch is self._batches[-1] else self.accelerator.no_sync(model=model):
                    losses.append(super().training_step(model, *batch.given, **batch.named))  # type: ignore[misc]
        if torch.is_grad_enabled() and self.args.max_grad_norm:
            self.accelerator.clip_grad_norm_(model.parameters(), self.args.max_grad_norm)
        return _summed(losses)

    @contextlib.contextmanager
    def _silent(self) -> Iterator[None]:
        """The Trainer's ``training_step`` without its backward."""
        self.accelerator.backward = lambda loss, **named: None
        try:
            with torch.no_grad():
                yield
        finally:
            del self.accelerator.backward


AsksAgain = WithClosure  #: the former name


def _summed(losses: list[Tensor]) -> Tensor:
    """One after the other, as they were added to the gradient."""
    return sum(losses[1:], losses[0])


def _version(p: Tensor) -> int:
    """How often p was written in place."""
    with torch.no_grad():
        return shard.local(p)._version
