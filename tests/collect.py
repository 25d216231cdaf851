"""What papers give to the tables: every file of tests/papers is one paper, found by walking.

A file there is called as the paper's claim is, by author, year and method, and gives any of the tables of ``TABLES``, and
tests of its own. A file that cannot be read hides no other: it is in ``BROKEN``, and one test, named after it, fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

FOLDER = Path(__file__).parent / "papers"

#: what a paper's file may give: name of the table, what is in it, and who reads it
TABLES: Mapping[str, str] = {
    "CONTRACT": "named method -> Setting: how it is run on sixty weights (tests/contract)",
    "ORACLE": "Rows: method and equations on a net, step by step (tests/oracle/test_equations.py)",
    "EDGES": "Rows: the same in corners: bounds that bind, shapes that are special, directions that point uphill",
    "HANDS": "Hands: the first steps as numbers worked out by hand (tests/oracle/test_by_hand.py)",
    "TORCH": "Pairs: where torch has the method (tests/oracle/test_torch.py)",
    "DIRECTIONS": "name -> makes a direction that descends (tests/laws/test_direction.py)",
    "SCALE_FREE": "name -> makes a direction that the scale of gradients does not change",
    "COLLAPSES": "sentence -> two directions that are the same",
    "SAME": "sentence -> makers of two optimizers that take the same steps, to the bit (tests/laws/test_point.py)",
    "POINTS": "name -> makes a point that perturbs by the radius rho along a gradient (tests/laws/test_flatness.py)",
    "UNITLESS": "name -> makes a step size that the unit of the loss does not change (tests/laws/test_stepsize.py)",
    "LENGTHS": "name -> makes a step size that the unit of length does not change",
    "GEOMETRIES": "name -> a geometry (tests/laws/test_geometry.py)",
    "SOLVERS": "name -> Row of tests/solve/table.py: a solver and a problem for it (tests/solve/test_contract.py)",
}
_MAPPINGS = tuple(name for name, text in TABLES.items() if "->" in text)


def collect(folder: Path, package: str) -> tuple[dict[str, ModuleType], dict[str, str]]:
    """Modules by key in the order of their names, and by key why a file could not be read."""
    found: dict[str, ModuleType] = {}
    broken: dict[str, str] = {}
    owners: dict[tuple[str, str], str] = {}
    for file in sorted(folder.glob("*.py")):
        try:
            module = import_module(f"{package}.{file.stem}")
            for key in (mine := [(kind, name) for kind in _MAPPINGS for name in getattr(module, kind, ())]):
                if key in owners:
                    raise ValueError(f"{key[1]!r} is in {owners[key]}.{key[0]}, too")
        except Exception as error:  # noqa: BLE001 -- nothing is swallowed: a test named after the file reports it
            broken[file.stem] = f"{type(error).__name__}: {error}"
            continue
        owners.update(dict.fromkeys(mine, file.stem))
        found[file.stem] = module
    return found, broken


PAPERS, BROKEN = collect(FOLDER, "tests.papers")


def listed(kind: str) -> list[Any]:
    """The rows of a table that is a list, paper by paper."""
    return [row for module in PAPERS.values() for row in getattr(module, kind, ())]


def named(kind: str) -> dict[str, Any]:
    """A table with names, of all papers together."""
    return {name: row for module in PAPERS.values() for name, row in getattr(module, kind, {}).items()}


def ids(module: ModuleType) -> Iterator[str]:
    """What the rows of a paper's file are called in the parameters of tests."""
    for kind in TABLES:
        yield from getattr(module, kind, ()) if kind in _MAPPINGS else (row.id for row in getattr(module, kind, ()))
