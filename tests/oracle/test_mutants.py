"""The oracle can fail: parts are broken in one place at a time, and the equations notice.

Some changes cannot be noticed because nothing changes (a guard against what does not happen here, a factor that cancels),
and a few belong to other tests (several processes, parameters without gradients): so a part passes if three of four of
its mutants are caught.  Every twentieth mutant is tried; all of them, in some minutes, by ``pytest -m slow``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest
import torch
from torch import nn

import steepest
from steepest.core.part import Part
from tests.collect import listed
from tests.oracle.mutants import broken, mutants, parts
from tests.rows import PAUSES, Row

ROWS: list[Row] = listed("ORACLE")
EDGES: list[Row] = listed("EDGES")
TOLERANCE = 1e-12
#: parts of which half must be caught: the rest of their lines mends what a closure that fails has left behind, or keeps
#: a copy instead of walking back, which differs by rounding alone (test_known_bugs looks at both)
MENDERS = {"TwoPoint", "ExtraGradient"}


def rows(part: type[Part]) -> Iterator[Row]:
    """The rows of the table in which a part takes part."""
    for row in ROWS + EDGES:
        make = getattr(steepest, row.make) if isinstance(row.make, str) else row.make
        params = [nn.Parameter(torch.tensor(p)) for p in row.problem().start]
        if any(isinstance(p, part) for p in make(params, **row.hyper).parts()):
            yield row


def noticed(judges: list[Row]) -> bool:
    """Whether any row goes red, or cannot be run at all."""
    for pauses in ((), PAUSES):
        for row in judges:
            if pauses and (row.game or row.on):
                continue
            try:
                if any(not miss < TOLERANCE for miss, _ in row.gaps(pauses, lift="eager")):
                    return True
            except Exception:  # noqa: BLE001 -- whatever a broken part does, it was noticed
                return True
    return False


def survivors(part: type[Part], every: int) -> tuple[list[str], int]:
    """Mutants that nobody noticed, and how many there were."""
    judges, alive, count = list(rows(part)), [], 0
    assert judges or not part.__subclasses__() or part.__name__ == "Armijo", f"{part.__name__} has no row"
    for i, (name, what, function) in enumerate(mutants(part)):
        if i % every:
            continue
        count += 1
        with broken(part, name, function), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if not noticed(judges):
                alive.append(f"{name}: {what}")
    return alive, count


#: parts that the nets of the rows cannot drive, and the file whose tests stand in for rows
ELSEWHERE = {"PrivateRows": "tests/oracle/test_private.py: its closure is one of rows"}
PARTS = pytest.mark.parametrize(
    "part", [part for part in parts() if part.__name__ not in ELSEWHERE], ids=lambda part: part.__name__
)


@PARTS
def test_a_broken_part_is_noticed(part: type[Part]) -> None:
    alive, count = survivors(part, every=20)
    assert len(alive) <= max(1, count / (2 if part.__name__ in MENDERS else 4)), alive


@pytest.mark.slow
@PARTS
def test_every_broken_part_is_noticed(part: type[Part]) -> None:
    alive, count = survivors(part, every=1)
    assert len(alive) <= max(1, count / (2 if part.__name__ in MENDERS else 4)), alive


def test_whole_parts_are_not() -> None:
    """The control: without a mutation no row is red."""
    assert not [row.id for row in ROWS + EDGES if noticed([row])]
