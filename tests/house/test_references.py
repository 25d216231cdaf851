"""Whoever runs a method can cite it: every key of a part is an entry of references.bib, and every entry is used."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import steepest
from steepest.core.part import Part

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "steepest"
BIB = SRC / "references.bib"
ROOMS = ("point", "oracle", "channel", "chart", "direction", "stepsize", "geometry", "optim")
FIELDS = {"author", "title", "year"}


def entries() -> dict[str, str]:
    """Entries of references.bib by key."""
    found = re.findall(r"^@\w+\{([^,\s]+),(.*?)^\}", BIB.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert len(found) == len(dict(found)), "a key of references.bib stands for two entries"
    return dict(found)


def classes() -> Iterator[type]:
    """Parts and named methods: classes that are written in the rooms of the seams and in optim."""
    for room in ROOMS:
        package = importlib.import_module(f"steepest.{room}")
        for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            for _, thing in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
                if thing.__module__ == module.name and issubclass(thing, (Part, steepest.Optimizer)):
                    yield thing


def name(thing: type) -> str:
    """Where a class is found."""
    return f"{thing.__module__}.{thing.__qualname__}"


def test_every_key_has_an_entry() -> None:
    """A citation that does not exist fails here, before a user asks for it."""
    known = entries()
    found = [thing for thing in classes() if issubclass(thing, Part)]
    assert found
    lost = {name(thing): missing for thing in found if (missing := set(thing.cite) - set(known))}
    assert lost == {}


def test_every_entry_is_complete() -> None:
    """An entry without author, title or year is no citation."""
    poor = {key: FIELDS - set(re.findall(r"^\s*(\w+)\s*=", body, re.MULTILINE)) for key, body in entries().items()}
    assert {key: missing for key, missing in poor.items() if missing} == {}


def test_an_assembly_cites_its_parts() -> None:
    """What `cite` prints is the entry itself."""
    cited = [thing for thing in classes() if issubclass(thing, Part) and thing.cite]
    if not cited:
        pytest.skip("no part cites anything yet")
    from steepest.core.cite import citation

    for thing in cited:
        for key in thing.cite:
            assert entries()[key].strip() in citation([key])
