"""Rows: a loss that is a mean over examples, and what it is for each example alone.

A plain closure returns one number.  :class:`Rows` is a closure that also knows its examples, and is one for every method;
parts with ``"rows"`` among their needs get the loss and the gradient of each.  Gradients of all rows at once come from
``torch.func``: the weights in the modules that the closure reaches are replaced by arguments, and one call is vectorized
over rows.  Where that is not possible (``vmap`` does not know an operation, a row's length depends on its values, a weight
is used that no module holds) rows are evaluated one by one, and a warning gives the reason, once for each optimizer.
"""

from __future__ import annotations

import contextlib
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from steepest.core.driver import Owner
from steepest.engine import shard

Found = TypeVar("Found")
#: adds up what a chunk of rows gives: (losses, gradients by parameter with the rows in front) -> a tensor per parameter
Fold = Callable[[Tensor, list[Tensor]], list[Tensor]]


class Rows:
    r"""A closure that knows its rows: :math:`f(x) = \frac1n \sum_{i \in I} \ell_i(x)`.

    Called without arguments, as every method but a few does, it returns the mean over all rows; over no rows, 0.

    Args:
        losses: computes the losses of the rows whose indices it is given (an integer tensor of shape ``(k,)``), each of that
            row alone, shape ``(k,)``.
        index: I, the indices that ``losses`` understands: a tensor, a sequence, or a count n for 0, …, n - 1.

    Raises:
        TypeError: ``losses`` is no function, or returns something else than one loss a row.
        ValueError: the indices are not integers in one row.

    Example:
        >>> import steepest
        >>> model, x, y = nn.Linear(3, 1), torch.ones(8, 3), torch.ones(8, 1)
        >>> rows = Rows(lambda i: (model(x[i]) - y[i]).square().sum(1), len(x))
        >>> opt = steepest.SGD(model.parameters(), lr=0.1)  # any method
        >>> opt.step(rows).shape
        torch.Size([])
    """

    def __init__(self, losses: Callable[[Tensor], Tensor], index: int | Tensor | Iterable[int]) -> None:
        if not callable(losses):
            raise TypeError(f"losses must be a function of row indices, got {type(losses).__name__}")
        if isinstance(index, int):
            index = torch.arange(index)
        made = index if isinstance(index, Tensor) else torch.tensor([*index], dtype=torch.long)
        if made.dim() != 1 or made.is_floating_point() or made.is_complex() or made.dtype is torch.bool:
            raise ValueError(f"index must be integers of shape (n,), got {made.dtype} of shape {tuple(made.shape)}")
        self._losses, self.index = losses, made

    def __len__(self) -> int:
        return len(self.index)

    def __call__(self) -> Tensor:
        """The mean over all rows."""
        return self.losses(self.index).sum() / max(len(self), 1)

    def losses(self, index: Tensor) -> Tensor:
        """The losses of these rows, shape ``(k,)``."""
        found = self._losses(index)
        if not isinstance(found, Tensor) or found.shape != index.shape:
            seen = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
            raise TypeError(f"losses(index) must return one loss for each index, shape {tuple(index.shape)}, got {seen}: let "
                            "the loss keep its rows (reduction='none')")  # fmt: skip
        return found

    def wrapped(self, around: Callable[[Any], Any]) -> Rows:
        """The same rows, with a decorator around the function of the losses."""
        return Rows(around(self._losses), self.index)


class Passes(Protocol):
    """Passes over a closure's rows; :class:`steepest.core.evaluate.Evaluator`."""

    @property
    def modules(self) -> list[nn.Module]:
        """Those that the closure reaches."""

    def gradient(self, of: Callable[[], Any] | None = None) -> Tensor:
        """The loss of a function, its gradient left in ``p.grad``."""

    def one_pass(self, compute: Callable[[], Found], rows: int) -> Found:
        """What ``compute`` finds in one pass over so many rows."""


class PerRow:
    """What the rows of one step's closure give, for oracles; it is ``run.rows``.

    Raises:
        TypeError: the closure does not know its rows.
        RuntimeError: there are several processes, or the modules that are reached mix rows (BatchNorm in training mode).
    """

    #: why an optimizer's rows are evaluated one by one
    _reasons: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()

    def __init__(self, opt: Owner, passes: Passes, params: list[Tensor], rows: Any) -> None:
        if not isinstance(rows, Rows):
            raise TypeError(f"{opt.oracle!r} needs each row's loss: call step(steepest.Rows(losses, index)), where "
                            "losses(i) are those of the rows i")  # fmt: skip
        if shard.processes() > 1:
            raise RuntimeError("gradients of single rows are for one process: leave out DDP and FSDP")
        self._opt, self._passes, self._rows, self._modules = opt, passes, rows, passes.modules
        mixing = {
            type(m).__name__ for m in self._modules if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training
        }
        if mixing:
            raise RuntimeError(f"a row has no gradient of its own under {', '.join(sorted(mixing))} in training mode, whose "
                               "statistics mix the rows: call eval() on it, or use GroupNorm")  # fmt: skip
        self.params = [p for p in params if p.requires_grad]

    def __len__(self) -> int:
        return len(self._rows)

    def weighted(self, weigh: Callable[[Tensor], Tensor]) -> Tensor:
        """Σ wᵢ ℓᵢ with constants w = ``weigh(ℓ)``, its gradient left in ``p.grad``; one forward, one backward.

        Args:
            weigh: the weights, shape ``(n,)``, from the losses.
        """

        def loss() -> Tensor:
            each = self._rows.losses(self._rows.index)
            return (weigh(each.detach()) * each).sum()

        return self._passes.gradient(loss)

    def summed(self, fold: Fold, chunk: int) -> tuple[Tensor, list[Tensor]]:
        """All losses, shape ``(n,)``, and the sums over chunks of what ``fold`` makes of their rows' gradients.

        A parameter that the loss does not use has zeros.  Counted as one forward and one backward, and n ``rows``.

        Args:
            fold: must change nothing outside of itself: where ``vmap`` fails in mid-pass it sees the first rows again.
            chunk: rows whose gradients are in memory at once.
        """
        reasons, opt = self._reasons, self._opt
        if opt not in reasons:
            try:
                return self._pass(self._at_once, fold, chunk)
            except Exception as error:  # noqa: BLE001 -- an error of the closure's own is raised by the second way, too
                reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
            found = self._pass(self._one_by_one, fold, chunk)
            reasons[opt] = reason
            warnings.warn(f"gradients of rows are computed one by one, for they cannot be at once ({reason}; warned once)",
                          stacklevel=12)  # fmt: skip
            return found
        return self._pass(self._one_by_one, fold, chunk)

    def _pass(
        self, gradients: Callable[[Tensor], tuple[Tensor, list[Tensor]]], fold: Fold, chunk: int
    ) -> tuple[Tensor, list[Tensor]]:
        def go() -> tuple[Tensor, list[Tensor]]:
            losses: list[Tensor] = []
            sums = [torch.zeros_like(p, dtype=torch.promote_types(p.dtype, torch.float32)) for p in self.params]
            for index in self._rows.index.split(chunk) if len(self) else ():
                each, g = gradients(index)
                losses.append(each)
                for total, more in zip(sums, fold(each, g), strict=True):
                    total += more
            return torch.cat(losses) if losses else torch.zeros(0), sums

        return self._passes.one_pass(go, rows=len(self))

    def _at_once(self, index: Tensor) -> tuple[Tensor, list[Tensor]]:
        values = [p.detach() for p in self.params]
        where = {id(p): k for k, p in enumerate(self.params)}
        slots = [(m, name, where[id(p)]) for m in self._modules for name, p in m._parameters.items() if id(p) in where]

        def loss(values: list[Tensor], i: Tensor) -> tuple[Tensor, Tensor]:
            with replaced(slots, values):
                one = self._rows.losses(i.reshape(1)).sum()
            return one, one

        every = torch.func.vmap(torch.func.grad(loss, has_aux=True), in_dims=(None, 0), randomness="different")
        g, losses = every(values, index)
        if losses.requires_grad:  # by a tensor that was not replaced: is it one of ours?
            direct = torch.autograd.grad(losses.sum(), self.params, allow_unused=True)
            if any(d is not None for d in direct):
                raise RuntimeError("the closure uses a weight that it does not find in a module")
        return losses.detach(), [gi.detach() for gi in g]

    def _one_by_one(self, index: Tensor) -> tuple[Tensor, list[Tensor]]:
        losses, rows = [], []
        for i in index.split(1):
            one = self._rows.losses(i)
            used = one.requires_grad
            g = torch.autograd.grad(one.sum(), self.params, allow_unused=True) if used else [None] * len(self.params)
            rows.append([torch.zeros_like(p) if gi is None else gi for p, gi in zip(self.params, g, strict=True)])
            losses.append(one.detach())
        return torch.cat(losses), [torch.stack(g) for g in zip(*rows, strict=True)]


@contextlib.contextmanager
def replaced(slots: list[tuple[nn.Module, str, int]], values: list[Tensor]) -> Iterator[None]:
    """Modules with these tensors in the place of their parameters."""
    own = [m._parameters[name] for m, name, _ in slots]
    try:
        for m, name, k in slots:
            m._parameters[name] = values[k]  # type: ignore[assignment]
        yield
    finally:
        for (m, name, _), p in zip(slots, own, strict=True):
            m._parameters[name] = p
