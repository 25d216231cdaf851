"""Every snippet in the docs runs, page by page, from top to bottom, as a reader would type it.

Blocks marked ``python`` are executed; blocks marked ``pycon`` are executed and their output is compared. The blocks of
a page share one namespace, so a page may tell a story. A traceback names the page and the line. What is not meant to
run is marked ``text``.
"""

import doctest
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
SEAMS = ("point", "oracle", "channel", "chart", "direction", "stepsize", "geometry")
FENCE = re.compile(
    r"^(?P<indent>[ ]*)```(?P<kind>python|pycon)\b[^\n]*\n(?P<code>.*?)^(?P=indent)```[ ]*$", re.M | re.S
)
RULES = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def blocks(page: str) -> list[tuple[int, str, str]]:
    """Line of the first statement, kind and code of each executable block."""
    return [
        (page[: found.start("code")].count("\n") + 1, found["kind"], textwrap.dedent(found["code"]))
        for found in FENCE.finditer(page)
    ]


def run(name: str, page: str) -> dict[str, Any]:
    """Execute a page and return its names."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for line, kind, code in blocks(page):
        if kind == "python":
            exec(compile("\n" * (line - 1) + code, name, "exec", dont_inherit=True), names)
        else:
            test = doctest.DocTestParser().get_doctest(code, names, name, name, line - 1)
            runner = doctest.DebugRunner(verbose=False, optionflags=RULES)
            runner.run(test, clear_globs=False)
            names |= test.globs
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_snippets_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page works as it stands, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        run(str(page.relative_to(ROOT)), page.read_text("utf-8"))


@pytest.mark.parametrize("seam", SEAMS)
def test_every_seam_has_a_page_with_a_running_example(seam: str) -> None:
    """One page a seam, and it shows the seam at work and lists its parts."""
    page = ROOT / "docs" / f"{seam}.md"
    assert f"automodule:: steepest.{seam}\n" in page.read_text("utf-8")
    assert any(f"steepest.{seam}" in code for _, _, code in blocks(page.read_text("utf-8")))


def broken_links(page: Path, content: str) -> list[str]:
    """Relative links and pictures of a page that lead nowhere."""
    targets = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", content)
    return [target for target in targets if not (page.parent / target).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Read in an editor or on a forge, without the site, every relative link and picture is there."""
    assert broken_links(page, page.read_text("utf-8")) == []
    assert broken_links(page, "[a](nowhere.md#b) ![c](no.svg) [d](https://example.org) [e](#b)") == [
        "nowhere.md",
        "no.svg",
    ]


def test_a_wrong_snippet_is_caught() -> None:
    """An error names page and line, wrong output is an error, and text is left alone."""
    fence = "`" * 3
    with pytest.raises(ZeroDivisionError) as caught:
        run("page.md", f"# Title\n\n{fence}python\nx = 1\nx / 0\n{fence}\n")
    assert (str(caught.traceback[-1].path), caught.traceback[-1].lineno) == ("page.md", 4)
    with pytest.raises(doctest.DocTestFailure):
        run("page.md", f"{fence}pycon\n>>> 1 + 1\n3\n{fence}\n")
    story = f"1. First\n\n    {fence}python\n    x = 2\n    {fence}\n\n{fence}pycon\n>>> x\n2\n{fence}\n"
    assert run("page.md", story + f"{fence}text\nx = 3\n{fence}\n")["x"] == 2
