"""Papers' own tests are found by walking: a file that cannot be read is named and hides no other, and no row is lost."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.collect import BROKEN, FOLDER, PAPERS, TABLES, collect
from tests.rows import Hand, Pair, Row, Setting


@pytest.mark.parametrize("key", sorted(file.stem for file in FOLDER.glob("*.py")))
def test_paper_can_be_read(key: str) -> None:
    assert key not in BROKEN, BROKEN[key]
    assert re.fullmatch(r"[a-z]+\d{4}_\w+", key), "a paper's file is called by author, year and method"
    for name, value in vars(PAPERS[key]).items():
        rows = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        if any(isinstance(row, (Setting, Row, Hand, Pair)) for row in rows):
            assert name in TABLES, f"{key}.py: nobody reads {name}; tables are {', '.join(TABLES)}"
        if name in TABLES:
            assert isinstance(value, Iterable) and rows, f"{key}.py: {name} is empty"


def test_a_broken_file_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"a2020_good": "CONTRACT = {'A': 1}", "b2020_bad": "def", "c2020_bad": "import nothing_of_this_name",
             "d2020_twice": "CONTRACT = {'A': 2}", "e2020_good": "ORACLE = [3]"}  # fmt: skip
    (tmp_path / "somewhere").mkdir()
    for name, text in files.items():
        (tmp_path / "somewhere" / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    found, broken = collect(tmp_path / "somewhere", "somewhere")
    for name in [name for name in sys.modules if name.split(".")[0] == "somewhere"]:
        monkeypatch.delitem(sys.modules, name)
    assert set(found) == {"a2020_good", "e2020_good"}
    assert broken["b2020_bad"].startswith("SyntaxError")
    assert broken["c2020_bad"] == "ModuleNotFoundError: No module named 'nothing_of_this_name'"
    assert broken["d2020_twice"] == "ValueError: 'A' is in a2020_good.CONTRACT, too"
