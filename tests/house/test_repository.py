"""What is in the repository, and what must not be: everything a stranger gets with `git clone`."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LARGEST = 1 << 20  # bytes of one file
STRANGERS = {
    ".pt", ".pth", ".pkl", ".pickle", ".npy", ".npz", ".so", ".o", ".pyc", ".whl", ".zip", ".gz", ".ipynb", ".log",
}  # fmt: skip
FORBIDDEN = {
    "a merge left open": r"^(?:<{7}|>{7}) ",
    "a path of somebody's machine": r"(?<![\w.:/~-])/(?:root|home|Users|work|opt|mnt|tmp|private)/\w",
    "a package index of somebody's own": r"--(?:extra-)?index-url|-{2}find-links|-{2}trusted-host|\bfile:/{3}",
    "a private key": r"-{5}BEGIN [A-Z ]*PRIVATE KEY",
    "an access token": r"\b(?:ghp|gho|ghs|hf|glpat|pypi)[-_][A-Za-z0-9]{20,}",
}
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def inventory() -> list[Path]:
    """Files that are in git, or would be after `git add .`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip("this is no git checkout, so nobody knows what belongs to the repository")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def text(path: Path) -> str | None:
    """The content of a text file, or None for a picture and the like."""
    data = path.read_bytes()
    return None if b"\0" in data else data.decode()


def marked(content: str) -> set[str]:
    """The forbidden things in a text."""
    return {what for what, pattern in FORBIDDEN.items() if re.search(pattern, content, re.MULTILINE)}


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("x = 1\n" + "<" * 7 + " HEAD\n", "a merge left open"),
        ("data = '/" + "home/ada/data'", "a path of somebody's machine"),
        ("pip install --index" + "-url=x y", "a package index of somebody's own"),
        ("-" * 5 + "BEGIN RSA PRIVATE " + "KEY", "a private key"),
        ("token = 'ghp" + "_" + 24 * "a" + "'", "an access token"),
    ],
)
def test_the_search_finds(content: str, what: str) -> None:
    """Each pattern finds what it is there for, and not a harmless neighbour."""
    assert marked(content) == {what}
    assert marked("see docs/home/index.md, #!/usr/bin/env bash, https://example.org/home/x, 10 >> 7") == set()


def test_nothing_forbidden() -> None:
    """No conflict markers, personal paths, private indexes or secrets in any text file."""
    found = {str(p.relative_to(ROOT)): bad for p in inventory() if (t := text(p)) is not None and (bad := marked(t))}
    assert found == {}


def test_only_sources() -> None:
    """Nothing built, pickled or recorded, and nothing big: results are regenerated, data comes with packages."""
    paths = inventory()
    assert [str(p.relative_to(ROOT)) for p in paths if p.suffix in STRANGERS] == []
    assert {str(p.relative_to(ROOT)): n for p in paths if (n := p.stat().st_size) > LARGEST} == {}


def test_every_file_opens_with_its_idea() -> None:
    """The first statement of every Python file is prose."""
    files = [path for path in inventory() if path.suffix == ".py"]
    assert files
    silent = [
        str(path.relative_to(ROOT)) for path in files if not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]
    assert silent == [], "open the file with a docstring that says its idea"


def test_lock_and_constraints_agree() -> None:
    """constraints.txt is the lock without CUDA, and the lock knows the public index only."""
    packages = tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))["package"]
    pairs = {(p["name"], p["version"]) for p in packages if "registry" in p["source"]}
    lines = [s for s in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if s and not s.startswith("#")]
    pinned = {tuple(line.split(" ;")[0].split("==")) for line in lines}
    assert pinned <= pairs, "run `bash .ci/lock`"
    assert ("torch", "2.13.0") in pinned
    left_out = {name for name, _ in pairs - pinned}
    assert {name for name in left_out if not name.startswith(("nvidia-", "cuda-", "triton"))} == set(), (
        "run `bash .ci/lock`"
    )
    assert {p["source"].get("registry") for p in packages} - {None} == {"https://pypi.org/simple"}


def test_lock_knows_every_dependency() -> None:
    """Each name in pyproject.toml has a version in the lock."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]
    names = {re.split(r"[\[<>=!~ ;]", d)[0] for d in wanted}
    locked = {p["name"] for p in tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))["package"]}
    assert names - locked == set(), "run `bash .ci/lock`"


def test_changelog_keeps_its_form() -> None:
    """Keep a Changelog: an open section on top, known kinds of change, and the version of the package announced."""
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    versions = re.findall(r"^## \[(.+?)\](?: - \d{4}-\d\d-\d\d)?$", changes, re.MULTILINE)
    assert versions[0] == "Unreleased"
    assert versions == [line[4:].split("]")[0] for line in changes.splitlines() if line.startswith("## ")]
    assert set(re.findall(r"^### (.+)$", changes, re.MULTILINE)) <= KINDS
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert version in versions or len(versions) == 1, f"{version} has no section in CHANGELOG.md"


def test_news_are_lists() -> None:
    """Each file of news is a Markdown list, so that all of them in a row are one."""
    files = sorted((ROOT / "news").glob("*.md"))
    lines = {f.name: f.read_text("utf-8").removesuffix("\n").split("\n") for f in files}
    assert [name for name, text in lines.items() if not text[0].startswith("- ")] == []
    assert [(name, line) for name, text in lines.items() for line in text if not re.match(r" *- |  +\S", line)] == []


def test_the_library_is_light_to_import() -> None:
    """`import steepest` needs torch and numpy: what the benchmark needs is loaded by the benchmark."""
    heavy = {"typer", "rich", "sklearn", "matplotlib", "jinja2"}
    code = f"import sys, steepest; print(sorted({heavy!r} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_the_package_says_that_it_is_typed() -> None:
    """Type checkers read annotations of a package that carries the marker, and of no other."""
    assert (ROOT / "src" / "steepest" / "py.typed").exists()
