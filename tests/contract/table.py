"""The table: all laws, whatever file they stand in, times all methods they concern."""

from __future__ import annotations

import pytest
from _pytest.mark.structures import ParameterSet

from tests.contract import (
    law_closure,
    law_fault,
    law_gradient,
    law_hand,
    law_hyper,
    law_memory,
    law_resume,
    law_shape,
    law_storage,
)
from tests.contract.case import CASES, EXCEPTIONS
from tests.contract.law import LAWS

#: of a law with more variants than this each method is run under so many, in turn; the others are marked ``full``
SAMPLED = 4
FILES = (law_gradient, law_shape, law_resume, law_hand, law_memory, law_hyper, law_closure, law_fault, law_storage)


def rows() -> list[ParameterSet]:
    """law, method, variant; an exception is marked with its reason and must fail.

    Where there are many variants each method has its share of them, and each variant its share of methods. Exceptions are
    always run, and all of it by ``pytest -m ""`` and by ``--paper``.
    """
    table = []
    for law in LAWS.values():
        for i, variant in enumerate(law.variants or ("",)):
            for j, (name, case) in enumerate(CASES.items()):
                if not law.concerns(case):
                    continue
                words = [law.name, variant, name] if variant else [law.name, name]
                reason = EXCEPTIONS.get(law.name, {}).get(name) or EXCEPTIONS.get(f"{law.name}-{variant}", {}).get(name)
                marks = [pytest.mark.xfail(reason=reason)] if reason else []
                marks += law_storage.SLOW if law.slow else []
                if not reason and (SAMPLED * j + i) % len(law.variants or "1") >= SAMPLED:
                    marks.append(pytest.mark.full)
                table.append(pytest.param(law.name, name, variant, marks=marks, id="-".join(words)))
    return table
