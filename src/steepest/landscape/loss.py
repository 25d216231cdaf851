"""A loss over parameters: one deterministic function, with values, slopes and curvature, that leaves no trace.

Whatever a module holds besides its trainable parameters is frozen during an evaluation: random numbers are those
of the moment the ``Loss`` was made, buffers (the statistics of batch normalisation) are copies, ``p.grad`` is put aside,
and the weights themselves are never written: other weights are handed to the module by ``torch.func.functional_call``.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from steepest.core.evaluate import Counters
from steepest.core.part import described
from steepest.core.products import Product, explained, gauss_newton, marked, pull, refuse_dead_ends, smooth
from steepest.core.replay import random_state, set_random_state
from steepest.engine import shard
from steepest.landscape.operator import Operator


class _Called(nn.Module):
    """The closure as the forward of a module that holds the model, so that ``functional_call`` reaches into it."""

    def __init__(self, model: nn.Module, closure: Callable[..., Any]) -> None:
        super().__init__()
        self.model, self.closure = model, (closure,)  # in a tuple, for a closure may be a module itself

    def forward(self, *batch: Any) -> Any:
        return self.closure[0](*batch)


class Loss:
    """A scalar function of parameters, at the point where they are now.

    >>> model = nn.Linear(3, 1)
    >>> x, y = torch.randn(8, 3), torch.randn(8, 1)
    >>> f = Loss(model, lambda: (model(x) - y).square().mean())
    >>> f.size, f.gradient().shape
    (4, torch.Size([4]))

    Of plain tensors, the closure takes them as arguments:

    >>> point = torch.tensor([1.0, 2.0])
    >>> Loss(point, lambda x: (x * x).sum()).gradient()
    tensor([2., 4.])

    Args:
        params: a module, of which the parameters that require gradients are meant; or a tensor; or several.
        closure: computes and returns the loss, ``closure()``; of tensors ``closure(*tensors)``.
        head: if given, the closure returns the model's outputs z, and ``head(z)`` is the loss.  The Gauss-Newton matrix
            needs to know where the model ends.
        batches: tuples of data; the loss is then the mean of ``closure(*batch)`` over them (``head(z, *batch)``), and
            only one batch is in memory as a graph.  Make them equally large.

    Every evaluation is counted in ``counters``.

    Raises:
        TypeError: nothing to differentiate, a complex or a sharded parameter, or a closure that is none.
    """

    def __init__(
        self,
        params: nn.Module | Tensor | Iterable[Tensor],
        closure: Callable[..., Any],
        *,
        head: Callable[..., Any] | None = None,
        batches: Iterable[Sequence[Any]] | None = None,
    ) -> None:
        if not callable(closure):
            raise TypeError(f"the closure must be a function that returns the loss, got {described(closure)}")
        self.model = params if isinstance(params, nn.Module) else None
        if self.model is not None:
            named: dict[str, Tensor] = {n: p for n, p in self.model.named_parameters() if p.requires_grad}
        else:
            tensors = [params] if isinstance(params, Tensor) else list(params)  # type: ignore[arg-type]
            named = {str(i): t for i, t in enumerate(tensors)}
        self.names, self.params = list(named), list(named.values())
        self._check()
        self.closure, self.head = closure, head
        self.batches = [()] if batches is None else [tuple(batch) for batch in batches]
        if not self.batches:
            raise ValueError("batches is empty: give at least one")
        self.counters = Counters()
        self.sizes = [p.numel() for p in self.params]
        self.size = sum(self.sizes)
        self.dtype = torch.float32
        for p in self.params:
            self.dtype = torch.promote_types(self.dtype, p.dtype)
        self.device = self.params[0].device
        self._called = None if self.model is None else _Called(self.model, closure)
        self._random = random_state()

    def _check(self) -> None:
        if not self.params:
            raise TypeError("there is no parameter to differentiate by: unfreeze one (requires_grad_())")
        for name, p in zip(self.names, self.params, strict=True):
            if not isinstance(p, Tensor) or not p.dtype.is_floating_point:
                raise TypeError(
                    f"parameter {name} must be a real floating-point tensor, got {getattr(p, 'dtype', p)!r}"
                )
            if shard.is_sharded(p):
                raise TypeError(f"parameter {name} is sharded: gather the model in one process first")

    # -- vectors -------------------------------------------------------------------------------------------------------

    def flat(self, tensors: Iterable[Tensor]) -> Tensor:
        """Tensors shaped like the parameters as one vector."""
        return torch.cat([t.detach().reshape(-1).to(self.device, self.dtype) for t in tensors])

    def shaped(self, v: Tensor) -> list[Tensor]:
        """A vector as tensors shaped, typed and placed like the parameters."""
        if v.shape != (self.size,):
            raise ValueError(f"a vector of {self.size} numbers is meant, got the shape {tuple(v.shape)}")
        pieces = zip(v.split(self.sizes), self.params, strict=True)
        return [piece.view(p.shape).to(p.device, p.dtype) for piece, p in pieces]

    # -- evaluations ---------------------------------------------------------------------------------------------------

    def value(self, shift: Tensor | None = None) -> float:
        """The loss at x, or at x + shift: one forward for each batch."""
        total = 0.0
        with self._evaluation(), torch.no_grad():
            values = self._values(shift)
            for batch in self.batches:
                total += float(self._loss(values, batch)[0])
                self.counters.forwards += 1
        return total / len(self.batches)

    def gradients(self, shift: Tensor | None = None) -> Iterator[tuple[float, Tensor]]:
        """Loss and gradient, batch by batch."""
        for batch, again in zip(self.batches, self._streams(), strict=True):
            with again():
                values = self._values(shift)
                loss, _ = self._loss(values, batch)
                found = float(loss.detach()), self.flat(self._slope(loss, values, False))
            self.counters.forwards += 1
            self.counters.backwards += 1
            yield found

    def gradient(self, shift: Tensor | None = None) -> Tensor:
        """The gradient at x, or at x + shift, as one vector."""
        return self.value_and_gradient(shift)[1]

    def value_and_gradient(self, shift: Tensor | None = None) -> tuple[float, Tensor]:
        """Loss and gradient at x, or at x + shift: one forward and one backward for each batch."""
        values, g = 0.0, torch.zeros(self.size, dtype=self.dtype, device=self.device)
        for value, part in self.gradients(shift):
            values, g = values + value, g + part
        return values / len(self.batches), g / len(self.batches)

    def hessian(self) -> Operator:
        r"""The Hessian :math:`\nabla^2 f` at x, known by its products; each costs one Hessian-vector product a batch.

        Of one batch, the graph of the gradient is kept as long as the answer lives; of several, it is made anew (one
        forward and one backward more).
        """
        return Operator(self.size, _Products(self, _hessian), self.counters, self.dtype, self.device)

    def ggn(self) -> Operator:
        r"""The generalised Gauss-Newton matrix :math:`J^\top \nabla^2_z\, \mathrm{head}(z)\, J` at x, z the outputs, J their
        Jacobian; each product is counted as a Hessian-vector product.

        Raises:
            TypeError: the loss was made without a head.
        """
        if self.head is None:
            raise TypeError("the Gauss-Newton matrix needs to know where the model ends: make the loss as Loss(model, "
                            "lambda: model(x), head=lambda z: F.cross_entropy(z, y))")  # fmt: skip
        return Operator(self.size, _Products(self, _ggn), self.counters, self.dtype, self.device)

    def fisher(self) -> Operator:
        r"""The empirical Fisher matrix :math:`\frac1n \sum_i g_i g_i^\top` at x, :math:`g_i` the gradients of the n examples;
        each product is counted as a Hessian-vector product.

        Raises:
            TypeError: the loss was made without a head, or its closure does not return the losses of the examples.
        """
        if self.head is None:
            raise TypeError("the Fisher matrix needs the loss of each example: make the loss as Loss(model, lambda: "
                            "F.cross_entropy(model(x), y, reduction='none'), head=lambda losses: losses.mean())")  # fmt: skip
        return Operator(self.size, _Products(self, _fisher), self.counters, self.dtype, self.device)

    # -- how -----------------------------------------------------------------------------------------------------------

    def _values(self, shift: Tensor | None) -> list[Tensor]:
        here = [p.detach() for p in self.params]
        if shift is not None:
            here = [x + d for x, d in zip(here, self.shaped(shift), strict=True)]
        return [x.requires_grad_() for x in here]

    def _loss(self, values: list[Tensor], batch: tuple[Any, ...]) -> tuple[Tensor, Any]:
        """The loss, and the outputs it was made of where there is a head."""
        if self._called is None:
            z = self.closure(*values, *batch)
        else:
            assert self.model is not None
            held = {f"model.{n}": b.clone() for n, b in self.model.named_buffers()}
            held |= {f"model.{n}": v for n, v in zip(self.names, values, strict=True)}
            z = torch.func.functional_call(self._called, held, batch)
        loss = z if self.head is None else self.head(z, *batch)
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            raise TypeError(f"the {'closure' if self.head is None else 'head'} must return the loss as a scalar tensor, "
                            f"got {loss!r}")  # fmt: skip
        if any(v.grad is not None for v in values):
            raise TypeError("the closure calls backward(): here it must only compute and return the loss")
        if not math.isfinite(float(loss.detach())):
            raise ValueError(f"the loss is {float(loss.detach())} here: nothing can be measured at this point")
        return loss.reshape(()), z

    def _slope(self, loss: Tensor, values: list[Tensor], twice: bool) -> list[Tensor]:
        """The gradient, after a look whether it was the given values that were used."""
        kept = [p for p in self.params if p.requires_grad and p.is_leaf]
        found: Sequence[Tensor | None] = [None] * (len(values) + len(kept))
        if loss.requires_grad:
            found = torch.autograd.grad(
                loss, [*values, *kept], create_graph=twice, retain_graph=True, allow_unused=True
            )
        behind = [n for n, g in zip(self.names, found[len(values) :], strict=False) if g is not None]
        if behind:
            raise TypeError(
                f"the closure uses the parameter {behind[0]} by a name of its own, so it cannot be moved; take it from "
                + ("the arguments of the closure" if self.model is None else "the model inside the closure")
            )
        if all(g is None for g in found):
            raise TypeError(
                "the loss does not depend on the parameters: was it computed by this model, with gradients?"
            )
        return [torch.zeros_like(v) if g is None else g for v, g in zip(values, found, strict=False)]

    def _streams(self) -> Iterator[Callable[[], Any]]:
        """For each batch the context it is evaluated in, with the random numbers that follow those of the last."""
        random = self._random
        for _ in self.batches:
            after: list[Any] = []

            def evaluation(random: list[Any] = random, after: list[Any] = after) -> Any:
                return self._evaluation(random, after)

            yield evaluation
            random = after

    @contextlib.contextmanager
    def _evaluation(self, random: list[Any] | None = None, after: list[Any] | None = None) -> Iterator[None]:
        """Replayed random numbers, gradients put aside, kernels that can be differentiated twice."""
        before, grads = random_state(), [p.grad if p.is_leaf else None for p in self.params]
        set_random_state(self._random if random is None else random)
        for p, g in zip(self.params, grads, strict=True):
            if g is not None:
                p.grad = None
        try:
            with smooth():
                yield
        finally:
            if after is not None:
                after[:] = random_state()
            set_random_state(before)
            for p, g in zip(self.params, grads, strict=True):
                if p.is_leaf:
                    p.grad = g


class _Products:
    """Products with a curvature matrix: the mean over batches; the graph of a single batch is kept."""

    def __init__(self, f: Loss, make: Callable[[Loss, list[Tensor], tuple[Any, ...]], Product]) -> None:
        self.f, self.make = f, make
        self.kept: Product | None = None

    def __call__(self, v: Tensor) -> Tensor:
        f, vs = self.f, self.f.shaped(v)
        total = torch.zeros_like(v)
        for batch, again in zip(f.batches, f._streams(), strict=True):
            with again():
                product = self.kept
                with explained():
                    if product is None:
                        product = self.make(f, f._values(None), batch)
                        f.counters.forwards += 1
                        f.counters.backwards += 1
                    total += f.flat(product(vs))
            f.counters.hvps += 1
            self.kept = product if len(f.batches) == 1 else None
        return total / len(f.batches)


def _hessian(f: Loss, values: list[Tensor], batch: tuple[Any, ...]) -> Product:
    """Hv as the derivative of the gradient along v (Pearlmutter 1994)."""
    loss = f._loss(values, batch)[0]
    slope = f._slope(marked(loss), values, True)
    refuse_dead_ends(slope, loss)
    return lambda vs: pull(slope, values, vs)


def _ggn(f: Loss, values: list[Tensor], batch: tuple[Any, ...]) -> Product:
    """The Gauss-Newton matrix of one batch."""
    head = f.head
    assert head is not None
    loss, z = f._loss(values, batch)
    if not isinstance(z, Tensor):
        raise TypeError(f"the Gauss-Newton matrix is known for one tensor of outputs, got {type(z).__name__}")
    f._slope(loss, values, False)  # for what it refuses
    return gauss_newton(z, lambda end: head(end, *batch), values)


def _fisher(f: Loss, values: list[Tensor], batch: tuple[Any, ...]) -> Product:
    """Jᵀ J v / n of one batch, with J the Jacobian of its n losses."""
    loss, rows = f._loss(values, batch)
    if not isinstance(rows, Tensor) or rows.dim() != 1:
        raise TypeError("the Fisher matrix needs one loss an example: let the closure return them as a vector, and the head "
                        "their mean")  # fmt: skip
    f._slope(loss, values, False)  # for what it refuses
    return gauss_newton(rows, lambda end: end.square().sum() / (2 * len(end)), values)
