"""The order of the samples in an epoch, as a sampler that can be saved in mid-epoch.

A ``DataLoader`` draws indices ahead of the batches that it hands out: with workers, by several batches.  What was drawn is
therefore no place to resume at.  ``sampler.counting(loader)`` goes through the loader and counts what the training loop has
been given; the state is that count, over all processes together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils.data import Sampler

Batch = TypeVar("Batch")


def whole_number(name: str, value: Any, least: int) -> int:
    """An integer that is large enough.

    Raises:
        TypeError: it is none.
        ValueError: it is too small.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return value


class Order(Sampler[int]):
    """Samples in their own order, the same in every epoch; the base of the other orders.

    With several processes each takes every ``world``-th sample, so no sample is seen twice in an epoch, and all processes have
    the same number: the last ``n % world`` of an epoch's order are left out.  A sampler that is not counted begins the next
    epoch when it is iterated again after its end, and its state is that of the epoch's beginning.

    Args:
        n: samples, 0, …, n - 1; or a data set, whose length it is.
        seed: of all orders; an epoch's is made from seed and epoch alone, default 0.
        rank: of this process, default 0.
        world: processes, default 1.

    Raises:
        TypeError: a number that is no integer.
        ValueError: a number out of its range.

    Example:
        >>> from torch.utils.data import DataLoader
        >>> order = Order(6)
        >>> loader = DataLoader(range(6), batch_size=2, sampler=order)
        >>> for batch in order.counting(loader):
        ...     saved = order.state_dict()
        ...     break
        >>> again = Order(6)
        >>> again.load_state_dict(saved)
        >>> list(again)
        [2, 3, 4, 5]
    """

    #: what else of a sampler its state must agree with
    fixed: tuple[str, ...] = ("n", "seed")

    def __init__(self, n: int | Any, *, seed: int = 0, rank: int = 0, world: int = 1) -> None:
        self.n = whole_number("n", n if isinstance(n, (int, float)) else len(n), 0)
        self.seed, self.world = whole_number("seed", seed, 0), whole_number("world", world, 1)
        self.rank = whole_number("rank", rank, 0)
        if rank >= world:
            raise ValueError(f"rank must be below world={world}, got {rank}")
        self.epoch, self.taken = 0, 0
        self._drawn, self._counting = -1, False  # the epoch that was drawn to its end without being counted

    def order(self, epoch: int) -> Tensor:
        """The indices of a whole epoch, over all processes."""
        return torch.arange(self.n)

    def random_for(self, epoch: int) -> torch.Generator:
        """The stream of an epoch (`generator` would be taken for one by Accelerate, and synchronized)."""
        return torch.Generator().manual_seed((self.seed * 1_000_003 + epoch) % 2**63)

    def set_epoch(self, epoch: int) -> None:
        """Begin this epoch; the present one goes on where it was, as loops that call it after resuming suppose."""
        if whole_number("epoch", epoch, 0) != self.epoch:
            self.epoch, self.taken = epoch, 0
        self._drawn = -1

    def __len__(self) -> int:
        """Samples that are left for this process in this epoch."""
        return max(self.n - self.taken, 0) // self.world

    def __iter__(self) -> Iterator[int]:
        if self._drawn == self.epoch:  # it was iterated before, without a count
            self.epoch, self.taken = self.epoch + 1, 0
        epoch, rest = self.epoch, self.order(self.epoch)[self.taken :]
        yield from rest[: len(rest) // self.world * self.world][self.rank :: self.world].tolist()
        if not self._counting:
            self._drawn = epoch

    def counting(self, loader: Iterable[Batch], each: int | None = None) -> Iterator[Batch]:
        """The batches of one epoch, or of what is left of it, each counted when it is handed out.

        Left early, the next loop goes on behind the last batch that was handed out.

        Args:
            loader: draws from this sampler; one that is wrapped by a trainer, too.
            each: samples in a batch, default the loader's ``batch_size``; those of all processes if the loader itself shares
                out what a sampler of ``world=1`` gives, as Accelerate's does.

        Raises:
            ValueError: the loader does not say how large its batches are.
        """
        size = (
            each
            or getattr(loader, "batch_size", None)
            or getattr(getattr(loader, "batch_sampler", None), "batch_size", None)
        )
        if size is None:
            raise ValueError(f"{type(loader).__name__} has no batch_size: say how many samples a batch has, each=…")
        return self._counted(loader, whole_number("each", size, 1))

    def _counted(self, loader: Iterable[Batch], size: int) -> Iterator[Batch]:
        self._drawn, self._counting = -1, True
        try:
            for batch in loader:
                self.taken = min(self.taken + size * self.world, self.n)
                yield batch
            self.epoch, self.taken = self.epoch + 1, 0
        finally:
            self._counting = False

    def state_dict(self) -> dict[str, Any]:
        """Epoch and samples that were taken in it by all processes together; plain numbers and tensors."""
        return {"epoch": self.epoch, "taken": self.taken, **{name: getattr(self, name) for name in self.fixed}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on there with the next iteration; ``world`` may be another one than it was.

        Raises:
            ValueError: it belongs to other data or another seed, or is damaged; nothing is changed.
        """
        names = {*self.state_dict()}
        if not isinstance(state, Mapping) or names != {*state}:
            seen = ", ".join(map(str, state)) if isinstance(state, Mapping) else type(state).__name__
            raise ValueError(f"the state of {type(self).__name__} has {', '.join(sorted(names))}, got {seen}")
        for name in self.fixed:
            if state[name] != getattr(self, name):
                raise ValueError(f"the state is of a sampler with {name}={state[name]}, and this one has "
                                 f"{name}={getattr(self, name)}")  # fmt: skip
        epoch, taken = whole_number("epoch", state["epoch"], 0), whole_number("taken", state["taken"], 0)
        self.check(state)
        self.epoch, self.taken, self._drawn = epoch, taken, -1

    def check(self, state: Mapping[str, Any]) -> None:
        """Take what a subclass keeps besides, after it has been found right."""


class Shuffled(Order):
    """Every sample once an epoch, in a new random order each time.

    Arguments, errors and use are those of :class:`Order`.

    Example:
        >>> sampler = Shuffled(5, seed=1)
        >>> sorted(sampler) == [0, 1, 2, 3, 4] and list(sampler) != list(sampler)
        True
    """

    def order(self, epoch: int) -> Tensor:
        """A random permutation."""
        return torch.randperm(self.n, generator=self.random_for(epoch))
