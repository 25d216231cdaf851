"""Records that the lifts type against: what a kernel is made for, and the table of tensors that it runs over.

Nothing of the library is imported here.
"""

from __future__ import annotations

import array
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Protocol

import torch
from torch import Tensor

#: from tensors and scalars by name to new tensors and sums
Rule = Callable[[SimpleNamespace, SimpleNamespace], tuple[dict[str, Tensor], dict[str, Tensor]]]
Reduce = Callable[[Tensor], None]
CHUNK = 4096  # elements; also in the printed code


class Plan:
    """The fixed part of a table: lengths, chunks, salts and first indices of a list of tensors."""

    def __init__(self, numels: list[int], sizes: list[int], salts: list[int], offsets: list[int]) -> None:
        self.start = array.array("q", [0])
        for n in numels:
            self.start.append(self.start[-1] - (-n // CHUNK))
        self.numel = array.array("q", numels)
        # two 32-bit numbers: the hash sees no more of either
        self.salt = array.array("Q", [(o & 0xFFFFFFFF) << 32 | s for o, s in zip(offsets, salts, strict=True)])
        self.size = array.array("d", sizes)
        self.addresses = [a.buffer_info()[0] for a in (self.start, self.numel, self.size, self.salt)]
        self._partial: array.array[float] = array.array("d")

    def partial(self, width: int) -> int:
        """The address of room for ``width`` sums per chunk."""
        if len(self._partial) < width * self.start[-1]:
            self._partial = array.array("d", bytes(8 * width * self.start[-1]))
        return self._partial.buffer_info()[0]


@dataclass
class Addresses:
    """What a kernel was given once, and what must still be true for it to be given again.

    The storages are held, so no other tensor can get one of these addresses: an equal address is equal memory.
    """

    tensors: list[Tensor]  # the state, as it is in ``optimizer.state``
    at: list[int]  # its addresses
    pointers: array.array[int]  # the table itself: live tensors first, then the state
    written: list[Tensor]  # what the loop writes of the state
    storages: list[torch.UntypedStorage]
    filled: set[int] = field(default_factory=set)  # rows of live tensors that hold the parameters' own addresses


@dataclass
class Table:
    """Tensors of one bucket of parameters: equal types, equal step count.

    Args:
        states: what ``optimizer.state`` holds for each parameter, as local tensors.
        numels: local number of elements.
        sizes: global number of elements (they differ under sharding).
        salts: the parameter's place in the optimizer, for the hash of stochastic rounding.
        usual: the parameters themselves and their addresses.
        offsets: where the local elements begin in the whole tensor, for the same hash; default: at its beginning.
    """

    states: list[dict[str, Any]]
    numels: list[int]
    sizes: list[int]
    salts: list[int]
    usual: tuple[list[Tensor], list[int]]
    offsets: list[int] = field(default_factory=list)
    plan: Plan = field(init=False)
    stored: dict[Kernel, Addresses] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.offsets = self.offsets or [0] * len(self.numels)
        self.plan = Plan(self.numels, self.sizes, self.salts, self.offsets)


@dataclass(frozen=True)
class Spec:
    """What a kernel is made for: the rule, names and storage kinds of its tensors, names of its scalars."""

    rule: Rule
    live: dict[str, str]  # x, g, d: name -> kind
    stored: dict[str, str]  # state: name -> kind
    scalars: list[str]
    whole: str = ""  # the part that needs whole tensors, as errors name it; empty if the rule is elementwise
    unguarded: Rule | None = None  # the same rule for gradients that are known to be harmless
    shaped: frozenset[str] = frozenset()  # states of a shape of their own; a tensor may be without them
    batched: bool = False  # whether a rule of whole tensors takes many of equal shape, b x shape

    @property
    def pointwise(self) -> bool:
        """Whether the rule is elementwise."""
        return not self.whole

    @property
    def places(self) -> dict[str, int]:
        """A number for each state, for its random bits."""
        return {name: i for i, name in enumerate(self.stored)}

    @property
    def compute(self) -> torch.dtype:
        """Arithmetic is float64 where the parameter is, else float32."""
        return torch.float64 if self.live["x"] == "f64" else torch.float32


class Kernel(Protocol):
    """A rule that can be run over a table."""

    #: whether it must see whole tensors, since it takes sums over them that it cannot add up over their shards
    whole: bool

    def run(
        self, table: Table, live: dict[str, list[Tensor]], h: dict[str, float], seed: int, reduce: Reduce | None
    ) -> dict[str, float]:
        """Run once; returns the rule's sums over all tensors."""
