"""The index of all claims: every file of the folders of areas that is called by author, year and method, in the order of years.

A file that cannot be read hides no other. It is in ``BROKEN``, with what it raised, and the command line says so.
"""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import ModuleType

from steepest.claims.lab.base import Claim


@dataclass(frozen=True)
class Index:
    """What a walk through the folders finds.

    Args:
        claims: by name.
        records: by name of a claim, the JSON file beside its own, where its verdict is kept.
        broken: by name of a module, why it gave no claims.
    """

    claims: dict[str, Claim] = field(default_factory=dict)
    records: dict[str, Path] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)

    def beside(self, name: str) -> list[str]:
        """The claims of the same file, itself included, in their order."""
        return [other for other, path in self.records.items() if path == self.records[name]]


def papers(package: ModuleType) -> Iterator[tuple[str, Path]]:
    """Modules and files of the folders in a package that are called by author, year and method, in the order of years."""
    found = [
        (f"{package.__name__}.{area.name}.{paper.name}", Path(place, area.name, f"{paper.name}.py"))
        for place in package.__path__
        for area in pkgutil.iter_modules([place])
        for paper in pkgutil.iter_modules([str(Path(place, area.name))])
        if re.fullmatch(r"[a-z]+\d{4}_\w+", paper.name)
    ]
    yield from sorted(found, key=lambda each: re.findall(r"\d{4}", each[1].stem)[0] + each[1].stem)


def collect(package: ModuleType) -> Index:
    """Import all papers of a package; those that fail are kept apart from the others, whatever they raise."""
    index = Index()
    for module, file in papers(package):
        try:
            found = {claim.name: claim for claim in import_module(module).CLAIMS}
            for name in found.keys() & index.claims.keys():
                raise ValueError(f"claim {name!r} is in {index.records[name].with_suffix('.py').name}, too")
            index.claims.update(found)
            index.records.update(dict.fromkeys(found, file.with_suffix(".json")))
        except Exception as error:  # noqa: BLE001 -- nothing is swallowed: the command line and a test report it by name
            index.broken[module] = f"{type(error).__name__}: {error}"
    return index


INDEX = collect(import_module("steepest.claims"))
CLAIMS = INDEX.claims
BROKEN = INDEX.broken


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
