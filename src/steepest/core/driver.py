"""What the files below the optimizer, and the parts, may use of it: protocols, so that none of them imports it.

``Owner`` is what every assembly has: parameters, their state, numbers and modes.  ``Driver`` can take a step as well, and
is what a part finds as ``run.opt``.  Nothing of the library but records is imported here; parts are typed by the few
attributes that are read of them.
"""

from __future__ import annotations

import contextlib
import warnings
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor

from steepest.core.records import Counters, Evidence
from steepest.engine.state import State


class Measures(Protocol):
    """Of a step size."""

    @property
    def memory(self) -> Mapping[str, float]:
        """Numbers kept with those who share it: name -> start."""

    @property
    def lr(self) -> float:
        """Default of the learning rate."""


class Evaluates(Protocol):
    """Of an oracle."""

    def evaluate(self, run: Any) -> Evidence:
        """Loss and gradient at the weights as they are now."""


class Places(Protocol):
    """Of the sorter of parameters into buckets."""

    def salt(self, p: Tensor) -> int:
        """The place of p among all parameters."""

    def init_state(self, p: Tensor) -> None:
        """Make p's state, unless it has one."""


class Owner(Protocol):
    """Parameters, their state, the numbers of a method, and the modes it is in."""

    #: torch's: parameters with live hyper-parameters
    param_groups: list[dict[str, Any]]
    #: torch's: what is kept for each parameter
    state: defaultdict[Tensor, Any]
    #: torch's: hyper-parameters that a group has unless it says otherwise
    defaults: dict[str, Any]
    #: what was evaluated so far
    counters: Counters
    #: the value of ``counters.steps`` at which a skipped step was last counted
    skipped_at: int
    #: the closure has called ``zero_grad``
    zeroed: bool
    #: whether the closure calls backward itself; None before it is known
    closure_calls_backward: bool | None
    #: the model has the weights that the method returns
    evaluating: bool
    #: inside ``with opt.averaged()``
    in_block: bool
    #: FSDP's gathered weights, while the model has other weights than those of training
    resharding: contextlib.ExitStack | None
    #: which weights belong to a checkpoint just loaded
    expected_weights: Mapping[str, Any] | None
    #: sums over 16-bit weights after the first step
    weight_bits: list[int] | None

    @property
    def last_step(self) -> dict[str, Any]:
        """What the last step leaves behind for ``metrics()``."""

    @property
    def codec(self) -> str:
        """How state is stored."""

    @property
    def nonfinite(self) -> str:
        """What is done about NaN and infinity."""

    @property
    def step_size(self) -> Measures:
        """How far."""

    @property
    def oracle(self) -> Evaluates:
        """How the evidence is computed."""

    @property
    def sorter(self) -> Places:
        """Places of parameters, and their buckets."""

    @property
    def closure_parts(self) -> list[Any]:
        """Parts that evaluate the loss themselves."""

    @property
    def state_specs(self) -> Mapping[str, State]:
        """The states of all parts."""

    def specs(self, p: Tensor) -> Mapping[str, State]:
        """The states of the parameter p, as in ``state[p]``."""

    def hyper(self, group: dict[str, Any], name: str) -> float:
        """A live hyper-parameter of a group, ``beta1`` among them."""

    def scalars(self, group: dict[str, Any], t: int) -> dict[str, float]:
        """All scalars of a group at step t that its parameters have in common."""

    def loss_sign(self) -> float:
        """-1 where the loss is maximized."""

    def clear_cache(self) -> None:
        """Forget what depends on the parameters or their state: kernels and tables of addresses."""


class Driver(Owner, Protocol):
    """An owner that takes steps."""

    def make_move(self, run: Any, evidence: Evidence) -> bool:
        """Direction, step size, geometry and new state; False if the step was left out."""

    def acceptable(self, evidence: Evidence) -> bool:
        """Whether the step may go on with this evidence."""


def count_skip(opt: Owner, what: str) -> None:
    """Count a step that was not taken as it was, once a step; the first one gives a warning."""
    if opt.skipped_at == opt.counters.steps:
        return
    opt.skipped_at = opt.counters.steps
    opt.counters.skipped += 1
    if opt.counters.skipped == 1:
        warnings.warn(f"the loss, a gradient or an update is NaN or infinite: {what} (steps like this are counted "
                      "in opt.counters.skipped; warned once)", stacklevel=5)  # fmt: skip
