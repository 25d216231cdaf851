"""The index of all claims: every file of this folder that is called by author, year and method, in the order of years."""

from __future__ import annotations

import pkgutil
import re
from importlib import import_module
from pathlib import Path

from steepest.claims.base import Claim

_FILES = [
    m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]) if re.fullmatch(r"[a-z]+\d{4}_\w+", m.name)
]
PAPERS = [
    import_module(f"steepest.claims.{name}") for name in sorted(_FILES, key=lambda n: re.findall(r"\d{4}", n)[0] + n)
]
CLAIMS: dict[str, Claim] = {claim.name: claim for paper in PAPERS for claim in paper.CLAIMS}


def about(method: str) -> list[str]:
    """Names of the claims that are evidence for a method.

    >>> about("ADOPT")
    ['adopt-any-beta2', 'adopt-clip-any-beta2']
    """
    return [claim.name for claim in CLAIMS.values() if method in claim.methods]


def catalogue(method: str) -> list[str]:
    """Ids of the catalogue's papers that the claims about a method are evidence for, in order.

    >>> catalogue("ADOPT")
    ['001-162']
    """
    return sorted({row for name in about(method) for row in CLAIMS[name].rows})
