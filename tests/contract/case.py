"""The cases of the contract: each named method as the laws see it, run as its paper's file says (tests/papers).

A method without a row is an error: whoever adds one says how to run it on a model of sixty weights.  An exception is run
like everything else and must fail, so that one which is no longer needed is noticed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

import steepest
from steepest.core.rule import whole_parts
from tests.collect import named
from tests.rows import Setting

ROWS: dict[str, Setting] = named("CONTRACT")


@dataclass(frozen=True)
class Case:
    """One method as the laws see it; call it with parameters to make the optimizer."""

    name: str
    make: Callable[..., steepest.Optimizer]
    row: Setting = field(default_factory=Setting)
    closure: bool = False
    forwards: int = 1
    backwards: int = 1
    searches: bool = False
    uses_loss: bool = False
    state_bytes: float | None = None
    printed: bool = True  # by the loop; a method with a map of whole tensors runs eagerly, and says nothing about it

    def __call__(self, params: Any, **options: Any) -> steepest.Optimizer:
        return self.make(params, **{**self.row.small, **options})


def _case(name: str) -> Case:
    known, row = steepest.methods[name], ROWS.get(name, Setting())
    opt = known.make([torch.nn.Parameter(torch.zeros(1))])
    printed = not whole_parts(opt.direction, opt.step_size, opt.geometry, opt.point)
    held = known.state_bytes if row.state_bytes is None else row.state_bytes
    return Case(name, row.make or known.make, row, known.closure,
                row.forwards or known.forwards, row.backwards or known.backwards, row.searches,
                row.searches or row.uses_loss, held, printed)  # fmt: skip


CASES: dict[str, Case] = {name: _case(name) for name in sorted(steepest.methods)}
#: assemblies that have no name in the library: a part that no named method has
CASES |= {name: Case(name, row.make, row) for name, row in ROWS.items() if row.make and name not in CASES}


def _exceptions() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for name, row in ROWS.items():
        for law, reason in row.exceptions.items():
            found.setdefault(law, {})[name] = reason
    return found


def _loose() -> dict[str, dict[str, tuple[float, str]]]:
    found: dict[str, dict[str, tuple[float, str]]] = {
        "micro_batches_add_up": {"*": (1e-5, "the sum over rows is taken in another order")},
        "tensors_may_be_changed_by_hand-relay": {
            "*": (1e-5, "matrices laid out otherwise are multiplied in another order")
        },
        "lifts_agree": {name: (2e-6, _ROOT) for name, row in ROWS.items() if row.root},
    }
    for name, row in ROWS.items():
        for law, agreed in row.loose.items():
            found.setdefault(law, {})[name] = agreed
    return found


_ROOT = "torch's root (MKL) is off by one unit in the last place for every fifth number, the printed one is exact"
#: law, or law-variant -> method -> why the law does not hold for it
EXCEPTIONS = _exceptions()
#: law -> method (or "*") -> relative tolerance, and why results are not equal to the bit
LOOSE = _loose()
