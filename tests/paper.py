"""What concerns one paper: its methods, claims, files and tests, found by a key, for `bash .ci/paper KEY`.

    python -m tests.paper KEY       # prints the files that are its own

A key is a method's name, a claim's name, or the name of a paper's file of claims or of tests.
"""

from __future__ import annotations

import inspect
import re
import sys
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import torch

import steepest
from steepest import claims
from steepest.claims.lab.index import INDEX
from tests.collect import BROKEN, FOLDER, PAPERS, ids

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Paper:
    """What a key stands for.

    Args:
        methods: names in ``steepest.methods``.
        claims: names in ``claims.CLAIMS``.
        parts: names of the classes of parts that the methods are made of, without those of the core.
        files: of these methods, parts and claims, and of their tests.
        rows: ids of the rows in the files of tests, as they stand in the parameters of tests.
    """

    methods: frozenset[str]
    claims: frozenset[str]
    parts: frozenset[str]
    files: tuple[Path, ...]
    rows: frozenset[str] = frozenset()

    def has(self, test: str) -> bool:
        """Whether a test, by its id, is about this paper: by a parameter, or by a word of its name.

        Laws are chosen by parts as well. What starts processes for all methods at once is left to the whole suite.
        """
        where, _, name = test.partition("::")
        function, _, parameters = name.removesuffix("]").partition("[")
        if where in {str(file.relative_to(ROOT)) for file in self.files}:
            return True
        if "ranks" in where:
            return False
        if where.startswith("tests/claims/"):
            return parameters in self.claims
        known = self.methods | (
            self.parts if where.startswith(("tests/laws/", "tests/oracle/test_mutants")) else frozenset()
        )
        if any(row in (parameters, *parameters.split("-", 1), parameters.rpartition("-")[0]) for row in self.rows):
            return True
        return bool(known & set(re.split(r"\W+", parameters))) or bool(
            {method.lower() for method in self.methods} & set(re.split("[_:]", function.lower()))
        )


def find(key: str) -> Paper:
    """What a key stands for.

    Raises:
        KeyError: nothing has this name; a file of that name that cannot be read is told with what it raised.
    """
    stems = {name: record.stem for name, record in INDEX.records.items()}
    broken = {module.rsplit(".", 1)[1]: why for module, why in claims.BROKEN.items()}
    methods = {name for name in steepest.methods if name.lower() == key.lower()}
    methods |= set(getattr(PAPERS.get(key), "CONTRACT", ())) & set(steepest.methods)
    names = {name for name, stem in stems.items() if key in (name, stem)}
    for what, why in ("claims", broken), ("tests", BROKEN):
        if key in why:
            raise KeyError(f"the {what} of {key} cannot be read: {why[key]}")
    if not methods and not names and key not in PAPERS:
        known = [*steepest.methods, *stems, *stems.values(), *PAPERS]
        near = "".join(f"; did you mean {name!r}?" for name in get_close_matches(key, known, 1))
        raise KeyError(f"no method, claim or file of claims or tests is called {key!r}{near}")
    methods |= {method for name in names for method in claims.CLAIMS[name].methods if method in steepest.methods}
    names |= {name for method in methods for name in claims.about(method) if not names}
    makers = [steepest.methods[name].make for name in sorted(methods)]
    parts = {type(part) for make in makers for part in _parts(make([torch.nn.Parameter(torch.zeros(1))]))}
    files = {Path(inspect.getfile(each)) for each in [*makers, *parts]}
    files |= {INDEX.records[name].with_suffix(".py") for name in names}
    tests = {stem for stem, paper in PAPERS.items() if stem == key or methods & set(getattr(paper, "CONTRACT", ()))}
    files |= {FOLDER / f"{stem}.py" for stem in tests}
    rows = {row for stem in tests for row in ids(PAPERS[stem])}
    inside = frozenset(part.__name__ for part in parts)
    return Paper(frozenset(methods), frozenset(names), inside, tuple(sorted(files)), frozenset(rows))


def _parts(opt: steepest.Optimizer) -> list[object]:
    return [part for part in opt.parts() if not type(part).__module__.startswith("steepest.core")]


if __name__ == "__main__":
    try:
        sys.stdout.write("\n".join(str(file.relative_to(ROOT)) for file in find(sys.argv[1]).files) + "\n")
    except KeyError as error:
        sys.exit(error.args[0])
