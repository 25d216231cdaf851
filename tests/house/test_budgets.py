"""Size budgets: what no longer fits in the head is two things under one name.

A line of code is a line that holds anything but blanks, comments and docstrings. A part fits on a screen, a file is
read in one sitting, and the core stays small enough to be known by heart. Prose is free in a part and not in a file.
"""

import ast
import io
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "steepest"
SEAMS = ("point", "oracle", "channel", "chart", "direction", "stepsize", "geometry")

PART = 40  # lines of code of a class or function in the room of a seam
FILE = 400  # lines of a file, prose included
CORE = 3700  # lines of code of src/steepest/core: docs/decisions.md says what they are
ENGINE = 1350  # lines of code of src/steepest/engine: what reads and writes tensors, whatever the method

WORDLESS = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER,
}  # fmt: skip


def code_lines(source: str) -> set[int]:
    """The numbers of the lines that hold code."""
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in WORDLESS:
            code.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and ast.get_docstring(
            node
        ):
            prose = node.body[0]
            code.difference_update(range(prose.lineno, (prose.end_lineno or 0) + 1))
    return code


def sizes(source: str) -> dict[str, int]:
    """Lines of code of each class and function at the top of a file."""
    code = code_lines(source)
    return {
        node.name: len(code & set(range(node.lineno, (node.end_lineno or 0) + 1)))
        for node in ast.parse(source).body
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
    }


def test_the_count_is_right() -> None:
    """A docstring, a blank line and a comment cost nothing; a continued line costs each of its lines."""
    source = '"""Prose."""\n\nclass A:\n    """More.\n\n    prose."""\n\n    # why\n'
    source += "    x = [\n        1,\n    ]  # so\n\ny = 1\n"
    assert code_lines(source) == {3, 9, 10, 11, 13}
    assert sizes(source) == {"A": 4}


@pytest.mark.parametrize("seam", SEAMS)
def test_a_part_fits_on_a_screen(seam: str) -> None:
    """No class or function in the room of a seam is longer than the budget."""
    files = sorted((SRC / seam).glob("*.py"))
    if not files:
        pytest.skip(f"no part is written in {seam} yet")
    found = {f"{file.name}:{name}": n for file in files for name, n in sizes(file.read_text("utf-8")).items()}
    assert {name: n for name, n in found.items() if n > PART} == {}, f"a part has at most {PART} lines of code"


def test_a_file_is_read_in_one_sitting() -> None:
    """No file of the library or its tests is longer than the budget, prose included."""
    files = [*SRC.rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    long = {str(f.relative_to(ROOT)): n for f in files if (n := len(f.read_text("utf-8").splitlines())) > FILE}
    assert files
    assert long == {}, f"a file has at most {FILE} lines"


@pytest.mark.parametrize(("room", "most"), [("core", CORE), ("engine", ENGINE)])
def test_the_core_stays_small(room: str, most: int) -> None:
    """A method that makes the core grow has found a fault in the seams."""
    found = {f.name: len(code_lines(f.read_text("utf-8"))) for f in sorted((SRC / room).rglob("*.py"))}
    assert found, f"{room} has moved"
    assert sum(found.values()) <= most, f"{sum(found.values())} lines of code in {room}: {found}"
