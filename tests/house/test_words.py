"""Plain technical English in the library: words that a reader can search for, in prose, error texts and names.

A private metaphor ("ask the oracle", "who hears the gradient") is understood by those who made it.  Each word on the list
stands beside what to write instead; docs/glossary.md has the terms that the library uses on purpose.
"""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src" / "steepest"

#: words in prose and names, and what to write
AVOID = {
    r"asks?|asked|asking": "evaluate, require, request",
    r"tells?|told|telling": "report, give, distinguish, notify",
    r"hears?|heard|hearing": "receive, communicate, measure",
    r"lends?|lent|lending": "swap in, hand out",
    r"misleads?|misled|misleading": "spoil, bias",
    r"mends?|mended|mending": "correct, fix, what to do",
    r"buys?|buying|bought": "evaluate, count",
    r"somebody|nobody|anybody|everybody": "say who: a caller, another process, no method",
}
PATTERN = re.compile(rf"(?<![^\W_])({'|'.join(AVOID)})(?![^\W_])", re.IGNORECASE)

#: names of helpers that say nothing about what they do
HELPERS = {"away", "instead", "mixed", "owned", "right", "taken", "told", "turned"}

#: names that users have: methods of parts, keys of checkpoints, former names, the files of a study
NAMES = {
    "ask": "of a point: parts outside of this library have it",
    "ask_inner": "the former name of apply_inner",
    "ask_heading": "the former name of inner_heading",
    "_asks": "an attribute in pickles of earlier versions",
    "asked": "a key of U-DoG's checkpoints",
    "heard": "a key of Auto's checkpoints and metrics",
    "AsksAgain": "the former name of trainers.WithClosure",
}

#: where black-box optimization has its usual terms, "ask" for a point and "tell" for its value; and claims of papers, whose
#: text their records quote
ELSEWHERE = re.compile(r"solve/black_box/|bench/tuning\.py|claims/(?!lab/)\w+/")

#: the mixed second derivative of a saddle problem, a public method
MIXED = ("solve/saddle/problem.py",)

CODE = re.compile(r"(?::\w+:)?`[^`\n]+`|``[^`\n]+``")  # names in prose are judged where they are defined


def words(source: str) -> set[tuple[int, str]]:
    """The words to avoid in comments, strings and names, with their lines."""
    found: set[tuple[int, str]] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in (tokenize.NAME, tokenize.COMMENT, tokenize.STRING) or token.string.strip("\"'") in NAMES:
            continue
        for n, line in enumerate(token.string.splitlines()):
            text = line if token.type == tokenize.NAME else CODE.sub("", line)
            found |= {(token.start[0] + n, match.lower()) for match in PATTERN.findall(text)}
    return found


def helpers(source: str) -> set[tuple[int, str]]:
    """Functions with a name that says nothing, with their lines."""
    defined = (
        node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    )
    return {(node.lineno, node.name) for node in defined if node.name.strip("_") in HELPERS}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("# ask the oracle\n", {(1, "ask")}),
        ('"""A.\n\nWho hears it?"""\n', {(3, "hears")}),
        ("_lent = 1\nis_told(x)\n", {(1, "lent"), (2, "told")}),
        ("raise ValueError(f'{x} tells\\n {y}')\n", {(1, "tells")}),
        ("def ask(): ...\ns.asked\nrow['heard']\n", set()),
        ('"""``ask`` of :meth:`tell`; a task, a shell, silent, recommend."""\n', set()),
    ],
)
def test_the_search_finds(source: str, found: set[tuple[int, str]]) -> None:
    """Each kind of text is searched, and parts of longer words are not."""
    assert words(source) == found


def test_the_search_finds_helpers() -> None:
    """Functions and methods, private ones too."""
    assert helpers("def away(): ...\nclass A:\n    def _told(self): ...\n    mixed = 1\n") == {
        (1, "away"),
        (3, "_told"),
    }


def test_plain_words() -> None:
    """No private metaphor in a docstring, a comment, an error text or a name of the library."""
    found = [
        f"{name}:{line}: {word}"
        for file in sorted(SRC.rglob("*.py"))
        if not ELSEWHERE.match(name := file.relative_to(SRC).as_posix())
        for line, word in sorted(words(file.read_text("utf-8")))
    ]
    assert found == [], f"write instead: {AVOID}"


def test_helpers_say_what_they_do() -> None:
    """No function is called by one of the words that fit everywhere."""
    found = [
        f"{name}:{line}: {helper}"
        for file in sorted(SRC.rglob("*.py"))
        if (name := file.relative_to(SRC).as_posix()) not in MIXED
        for line, helper in sorted(helpers(file.read_text("utf-8")))
    ]
    assert found == [], "name a helper by what it does"


def test_exceptions_are_needed() -> None:
    """Every allowed name is still there, so that the list of them only shrinks."""
    text = "\n".join(file.read_text("utf-8") for file in SRC.rglob("*.py"))
    assert [name for name in NAMES if not re.search(rf"\b{name}\b", text)] == []
    assert all("mixed" in {helper for _, helper in helpers((SRC / file).read_text("utf-8"))} for file in MIXED)
