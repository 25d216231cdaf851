"""The contract: every law for every named method.  The name of a failing test says which law and which method."""

from __future__ import annotations

import pytest

import steepest
from tests.collect import BROKEN
from tests.contract import ranks
from tests.contract.case import CASES, EXCEPTIONS, LOOSE, ROWS
from tests.contract.law import LAWS
from tests.contract.table import rows


@pytest.mark.parametrize(("law", "method", "variant"), rows())
def test_law(law: str, method: str, variant: str) -> None:
    check = LAWS[law].check
    if variant:
        check(CASES[method], variant)
    else:
        check(CASES[method])


def test_every_method_has_a_row() -> None:
    named = {name for name, row in ROWS.items() if name in steepest.methods or not row.make}
    assert named == set(steepest.methods), f"a new method needs a Setting in its paper's file in tests/papers {BROKEN}"


def test_exceptions_name_what_exists() -> None:
    known = {law.name for law in LAWS.values()} | {f"{law.name}-{v}" for law in LAWS.values() for v in law.variants}
    known |= {"two_processes", *(f"two_processes-{mode}" for mode in ranks.MODES)}
    assert set(EXCEPTIONS) <= known
    assert set(LOOSE) <= known
    assert {m for row in EXCEPTIONS.values() for m in row} <= set(CASES)
    assert {m for row in LOOSE.values() for m in row} <= {*CASES, "*"}
    assert all(len(reason) > 15 for row in EXCEPTIONS.values() for reason in row.values())
    assert all(len(reason) > 15 for row in LOOSE.values() for _, reason in row.values())
