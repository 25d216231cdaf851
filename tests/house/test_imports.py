"""Who knows whom: no circle of imports, those for types alone included, and no hand in another file's private names.

The import rules of pyproject.toml leave out what is imported under TYPE_CHECKING, since it never runs; but two files that
name each other's types can be read only together, so it counts here.
"""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src" / "steepest"

#: private names of others that have no public one
OTHERS = {
    "_foreach_add_", "_foreach_copy_", "_foreach_lerp_", "_foreach_mul_", "_foreach_norm", "_foreach_sub",
    "_foreach_zero_",  # torch: many tensors in one call
    "_modules", "_parameters", "_buffers",  # torch.nn.Module: what it owns, by name
    "_BatchNorm", "_NormBase",  # torch.nn: what all such layers are
    "_version",  # torch.Tensor: how often it was written
    "_per_optimizer_states",  # torch.amp.GradScaler: whether gradients were unscaled
    "_disable_dynamo",  # torch.compiler.disable, without loading the compiler
    "_pytree",  # torch.utils: nested tensors
    "_is_overflow",  # accelerate: whether schedulers wait
    "_exit",  # os: at once, without handlers
}  # fmt: skip


def module(file: Path, root: Path) -> str:
    """The name that a file is imported by."""
    return ".".join(part for part in (root.name, *file.relative_to(root).with_suffix("").parts) if part != "__init__")


def imports(root: Path) -> dict[str, set[str]]:
    """The files below a package that each of them imports, anywhere in it."""
    files = {module(file, root): ast.parse(file.read_text("utf-8")) for file in root.rglob("*.py")}
    graph = dict[str, set[str]]()
    for name, tree in files.items():
        found = set[str]()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{name} has a relative import, which is not looked at here"
                whole = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= {one if one in files else str(node.module) for one in whole}
            elif isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
        graph[name] = (found & {*files}) - {name}
    return graph


def circle(graph: dict[str, set[str]]) -> list[str]:
    """One of the circles in a graph; empty if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def private(name: str) -> bool:
    """Whether a name is for its own file."""
    return name.startswith("_") and not name.endswith("__")


def own(tree: ast.Module) -> Iterator[str]:
    """The private attributes that the classes of a file define."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for inside in node.body:
                if isinstance(inside, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                    yield inside.name
                elif isinstance(inside, (ast.Assign, ast.AnnAssign)):
                    targets = inside.targets if isinstance(inside, ast.Assign) else [inside.target]
                    yield from (one.id for one in targets if isinstance(one, ast.Name))
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _self(node.value):
            yield node.attr


def _self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def reaches(source: str) -> list[str]:
    """Where a file uses private names that are not its own, with the line."""
    tree = ast.parse(source)
    mine = {*own(tree)}
    found = list[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and private(node.attr) and node.attr not in mine:
            inherited = _self(node.value) or ast.unparse(node.value) == "super()"
            found += [] if inherited or node.attr in OTHERS else [f"{node.lineno}: {ast.unparse(node)}"]
        elif isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names if private(alias.name) and alias.name not in OTHERS]
            found += [f"{node.lineno}: import {name}" for name in names]
    return found


def test_no_circle_of_imports() -> None:
    graph = imports(SRC)
    assert len(graph) > 100
    assert "steepest.core.driver" in graph["steepest.core.step"]
    assert circle(graph) == []


def test_records_import_nobody() -> None:
    graph = imports(SRC)
    records = ("core.records", "engine.state", "engine.table")
    assert {name: graph[f"steepest.{name}"] for name in records} == {name: set() for name in records}
    assert graph["steepest.core.driver"] == {"steepest.core.records", "steepest.engine.state"}


@pytest.mark.parametrize("file", sorted(SRC.rglob("*.py")), ids=lambda file: str(file.relative_to(SRC)))
def test_private_names_stay_in_their_file(file: Path) -> None:
    assert reaches(file.read_text("utf-8")) == []


def test_every_exception_is_used() -> None:
    text = "\n".join(file.read_text("utf-8") for file in SRC.rglob("*.py"))
    assert [name for name in sorted(OTHERS) if name not in text] == []


def test_what_is_wrong_is_found(tmp_path: Path) -> None:
    root = tmp_path / "pack"
    (root / "room").mkdir(parents=True)
    typed = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pack.b import B\n"
    for name, text in {"__init__": "", "a": typed, "room/__init__": "", "b": "from pack.room import c\n",
                       "room/c": "def late():\n    import pack.a\n"}.items():  # fmt: skip
        (root / f"{name}.py").write_text(text)
    assert {*circle(imports(root))} == {"pack.a", "pack.b", "pack.room.c"}
    (root / "room" / "c.py").write_text("")
    assert circle(imports(root)) == []
    source = "def _f(): ...\nclass A:\n    _x = 0\n    def m(self, o):\n        self._y = o._x + o._y + self._z\n"
    assert reaches(source) == []
    assert reaches(source + "from m import _g, g\nprint(_f(), o._f, o._z, o.__dict__)\n") == [
        "6: import _g", "7: o._f", "7: o._z",
    ]  # fmt: skip
